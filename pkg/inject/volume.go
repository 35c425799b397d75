package inject

import corev1 "k8s.io/api/core/v1"

const (
	// tokenVolume holds the token that gets the sidecar its identity.
	tokenVolume  = "dapr-identity-token"
	tokenFolder  = "/var/run/secrets/dapr.io/sentrytoken"
	tokenSeconds = 7200

	// socketVolume is where the app and its sidecar talk over sockets.
	socketVolume = "dapr-unix-domain-socket"
	socketFolder = "/var/run/dapr-sockets"
)

// addVolumes adds the pod's volumes for a sidecar, and the sidecar's mounts.
func (in *injection) addVolumes(sidecar *corev1.Container) {
	seconds, mode := int64(tokenSeconds), corev1.ProjectedVolumeSourceDefaultMode
	in.addVolume(corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Path: "token", ExpirationSeconds: &seconds, Audience: in.settings.sentryIdentity(),
		}}},
	}}})
	sidecar.VolumeMounts = []corev1.VolumeMount{{Name: tokenVolume, MountPath: tokenFolder, ReadOnly: true}}

	if in.UnixDomainSocketPath != "" {
		in.addVolume(corev1.Volume{Name: socketVolume, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory},
		}})
		sidecar.VolumeMounts = append(sidecar.VolumeMounts, corev1.VolumeMount{Name: socketVolume, MountPath: socketFolder})
	}
}

// addMounts adds what the pod's author wants the sidecar to see.
func (in *injection) addMounts(sidecar *corev1.Container) {
	in.addMountsOf("volume-mounts", in.VolumeMounts, sidecar)
	in.addMountsOf("volume-mounts-rw", in.VolumeMountsRW, sidecar)
}

func (in *injection) addMountsOf(annotation string, mounts []corev1.VolumeMount, sidecar *corev1.Container) {
	for _, m := range mounts {
		switch {
		case !in.hasVolume(m.Name):
			in.warn("annotation %s: volume %q is not mounted: the pod has no volume of this name", Prefix+annotation, m.Name)
		case mountsAt(sidecar, m.MountPath):
			in.warn("annotation %s: volume %q is not mounted: there is another at %s already", Prefix+annotation, m.Name, m.MountPath)
		default:
			sidecar.VolumeMounts = append(sidecar.VolumeMounts, m)
		}
	}
}

// sentryIdentity is the SPIFFE id of the service that a sidecar's token is for.
func (s *Settings) sentryIdentity() string {
	return "spiffe://" + s.TrustDomain + "/ns/" + s.Namespace + "/dapr-sentry"
}
