// Package inject decides what becomes of a pod: whether it gets a sidecar, and
// which. It is pure: a pod in, a JSON Patch out. The webhook in the cluster and
// the commands of the CLI share it, so they cannot differ.
package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// ContainerName is the sidecar's.
const ContainerName = "daprd"

// NoSidecar begins the warning that the webhook gives to whoever makes a pod that
// asks for a sidecar and may not have one.
const NoSidecar = "no sidecar: "

// Labels of a pod with a sidecar.
const (
	LabelInjected = Prefix + "sidecar-injected"
	LabelAppID    = Prefix + "app-id"
	LabelMetrics  = Prefix + "metrics-enabled"
)

// Settings are what holds for every pod of a cluster. The zero value lacks an
// image; Defaults are those of the chart.
type Settings struct {
	// Image is the sidecar's unless the pod asks for another. Its program is
	// /daprd. An empty policy leaves the choice to the cluster.
	Image           string
	ImagePullPolicy corev1.PullPolicy

	// Namespace is the control plane's; ClusterDomain is what names of services
	// end with; TrustDomain is that of the control plane's identities.
	Namespace     string
	ClusterDomain string
	TrustDomain   string
	// TrustAnchors are the roots, in PEM, that sidecars trust.
	TrustAnchors string
	MTLS         bool
	// SentryAddress, when set, is where sidecars get their identity in place of
	// the control plane's own service.
	SentryAddress string

	// ActorsService is the kind of service that places actors and ActorsAddress
	// where it listens: a full address, or the name of a service of the control
	// plane with its port. No actors without both.
	ActorsService, ActorsAddress string
	// RemindersService and RemindersAddress are the same for reminders.
	RemindersService, RemindersAddress string
	// Scheduler tells whether the control plane has one.
	Scheduler bool

	// NativeSidecar makes the sidecar an init container that keeps running,
	// where the pod does not decide. A cluster that lacks those gets a plain
	// container in any case.
	NativeSidecar              bool
	ClusterLacksNativeSidecars bool

	RunAsNonRoot           bool
	RunAsUser, RunAsGroup  *int64
	ReadOnlyRootFilesystem bool
	DropAllCapabilities    bool
	// HostIP gives the sidecar its pod's address as DAPR_HOST_IP.
	HostIP bool
	// CommandTolerations are those of pods whose nodes ignore an image's
	// arguments: there the program is the command.
	CommandTolerations []corev1.Toleration

	// Components are those of the pod's namespace; only a pod that asks for
	// their containers needs them.
	Components []Component
}

// Defaults are the chart's settings, with an image and a namespace of the
// control plane.
func Defaults(image, namespace string) Settings {
	return Settings{
		Image:                  image,
		ImagePullPolicy:        corev1.PullIfNotPresent,
		Namespace:              namespace,
		ClusterDomain:          "cluster.local",
		TrustDomain:            "cluster.local",
		MTLS:                   true,
		ActorsService:          placementService,
		ActorsAddress:          "dapr-placement-server:50005",
		RunAsNonRoot:           true,
		ReadOnlyRootFilesystem: true,
		DropAllCapabilities:    true,
	}
}

// Result is what becomes of a pod.
type Result struct {
	// Inject tells whether the pod gets a sidecar, and Reason why or why not.
	Inject bool
	Reason string
	// Warnings name annotations that do not do what their author wanted, each
	// with its value and what to write instead.
	Warnings []string
	// AppID is empty without a sidecar.
	AppID string
	// Pod is a copy with the sidecar, or the pod as it was given.
	Pod *corev1.Pod
	// Patch makes the former out of the latter: RFC 6902, empty when nothing
	// changes.
	Patch Patch
}

// Pod decides about a pod and does not change it. The pod's namespace should be
// set; without it the sidecar learns its namespace when it starts. The only
// error is an *AppIDError: the pod asks for a sidecar that could not work.
func Pod(pod *corev1.Pod, s Settings) (Result, error) {
	if reason := notWanted(pod); reason != "" {
		return Result{Reason: reason, Pod: pod}, nil
	}
	c, warnings := Read(pod.Annotations)
	if c.AppID == "" {
		warnings = append(warnings, nameForAppID(pod, c))
	}
	if c.AppID != podNameReference {
		if err := CheckAppID(c.AppID); err != nil {
			return Result{Reason: err.Error(), Warnings: warnings, Pod: pod}, err
		}
	}
	in := &injection{Config: c, settings: s, edit: edit{pod: pod.DeepCopy()}, warnings: warnings}
	in.run()
	return Result{
		Inject:   true,
		Reason:   fmt.Sprintf("annotation %s is %q", Prefix+"enabled", pod.Annotations[Prefix+"enabled"]),
		Warnings: in.warnings,
		AppID:    c.AppID,
		Pod:      in.pod,
		Patch:    in.patch,
	}, nil
}

// notWanted says why a pod is left alone, or nothing when it gets a sidecar.
func notWanted(pod *corev1.Pod) string {
	value, given := pod.Annotations[Prefix+"enabled"]
	switch {
	case !given:
		return fmt.Sprintf("annotation %senabled is not set", Prefix)
	case !Enabled(pod.Annotations):
		return fmt.Sprintf("annotation %senabled is %q", Prefix, value)
	case HasSidecar(pod):
		return fmt.Sprintf("there is a container %q already", ContainerName)
	case len(pod.Spec.Containers) == 0:
		return "there is no container to put a sidecar beside"
	}
	return ""
}

// HasSidecar tells whether a pod has a container of the sidecar's name, of
// either kind.
func HasSidecar(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == ContainerName {
				return true
			}
		}
	}
	return false
}

// injection is the work on one pod.
type injection struct {
	*Config
	edit
	settings Settings
	warnings []string
	// native tells whether the sidecar becomes an init container that keeps
	// running.
	native bool
}

func (in *injection) warn(format string, args ...any) {
	in.warnings = append(in.warnings, fmt.Sprintf(format, args...))
}

func (in *injection) run() {
	in.native = in.wantsNative()
	in.warnPorts()
	in.setLabels()
	sidecar := in.sidecar()
	in.addVolumes(&sidecar)
	in.addComponents(&sidecar)
	in.addMounts(&sidecar)
	in.setUpApp()
	if in.native {
		// Behind the pod's own init containers: what they prepare, such as files
		// on a volume that the sidecar mounts, stays there before it starts.
		in.addInitContainer(sidecar)
	} else {
		in.addContainer(sidecar)
	}
}

func (in *injection) wantsNative() bool {
	wanted := in.settings.NativeSidecar
	if in.EnableNativeSidecar != nil {
		wanted = *in.EnableNativeSidecar
	}
	if wanted && in.settings.ClusterLacksNativeSidecars {
		if in.EnableNativeSidecar != nil {
			in.warn("annotation %senable-native-sidecar is ignored: this cluster has no native sidecars; they need Kubernetes 1.29", Prefix)
		}
		return false
	}
	return wanted
}

// setLabels sets what selectors and tools find a sidecar's pod by.
func (in *injection) setLabels() {
	in.label(LabelInjected, "true")
	if in.AppID != podNameReference {
		in.label(LabelAppID, in.AppID)
		// An id under its old name is given today's too: identities are checked
		// by the annotation.
		if in.pod.Annotations[Prefix+"app-id"] == "" && in.pod.Name != in.AppID {
			in.annotate(Prefix+"app-id", in.AppID)
		}
	}
	in.label(LabelMetrics, fmt.Sprint(in.EnableMetrics))
}

// setUpApp tells the app where its sidecar is. What the app sets itself stays.
func (in *injection) setUpApp() {
	for i := range in.pod.Spec.Containers {
		if in.isComponent(in.pod.Spec.Containers[i].Name) {
			continue
		}
		in.env(i, "DAPR_HTTP_PORT", fmt.Sprint(httpPort))
		in.env(i, "DAPR_GRPC_PORT", fmt.Sprint(in.GRPCPort))
		in.env(i, "APP_PROTOCOL", in.AppProtocol)
		if in.UnixDomainSocketPath != "" {
			in.mount(i, corev1.VolumeMount{Name: socketVolume, MountPath: in.UnixDomainSocketPath})
		}
	}
}
