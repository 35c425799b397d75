package inject

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// program is the sidecar's in its image, and debugger the one that may be there
// to run it.
const (
	program  = "/daprd"
	debugger = "/dlv"
)

// sidecar is the container, but for its mounts.
func (in *injection) sidecar() corev1.Container {
	c := corev1.Container{
		Name:            ContainerName,
		Image:           cmp.Or(in.Image, in.settings.Image),
		ImagePullPolicy: in.settings.ImagePullPolicy,
		Ports:           in.ports(),
		Env:             in.variables(),
		Resources:       in.resources(),
		SecurityContext: in.securityContext(),
		LivenessProbe: probe(in.LivenessProbe, corev1.ProbeHandler{
			TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(publicPort)},
		}),
		ReadinessProbe: probe(in.ReadinessProbe, corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/v1.0/healthz", Port: intstr.FromInt32(publicPort)},
		}),
	}
	args := in.args(&in.settings)
	switch {
	case in.EnableDebug:
		c.Command = []string{debugger}
		c.Args = append([]string{
			fmt.Sprintf("--listen=:%d", in.DebugPort), "--accept-multiclient", "--headless=true", "--log", "--api-version=2",
			"exec", program, "--",
		}, args...)
	case in.needsCommand():
		c.Command, c.Args = []string{program}, args
	default:
		c.Args = append([]string{program}, args...)
	}
	if in.native && !in.hasComponents() {
		// The app starts when the API listens. A sidecar that waits for components
		// in the app's own containers must not be waited for.
		c.StartupProbe = probe(ProbeTimes{Timeout: in.LivenessProbe.Timeout, Period: 1, Threshold: max(in.LivenessProbe.Delay, 1)}, c.LivenessProbe.ProbeHandler)
	}
	return c
}

// needsCommand tells whether the pod may run where an image's arguments are
// ignored.
func (in *injection) needsCommand() bool {
	return slices.ContainsFunc(in.pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return slices.ContainsFunc(in.settings.CommandTolerations, func(o corev1.Toleration) bool { return t.MatchToleration(&o) })
	})
}

func (in *injection) ports() []corev1.ContainerPort {
	ports := []corev1.ContainerPort{
		{Name: "dapr-http", ContainerPort: httpPort},
		{Name: "dapr-grpc", ContainerPort: in.GRPCPort},
		{Name: "dapr-internal", ContainerPort: in.InternalGRPCPort},
		{Name: "dapr-metrics", ContainerPort: in.MetricsPort},
	}
	if in.EnableDebug {
		ports = append(ports, corev1.ContainerPort{Name: "dapr-debug", ContainerPort: in.DebugPort})
	}
	for i := range ports {
		ports[i].Protocol = corev1.ProtocolTCP
	}
	return ports
}

// warnPorts names ports that two would listen on: a pod's containers share one
// network.
func (in *injection) warnPorts() {
	taken := map[int32]string{httpPort: "the sidecar's HTTP API", publicPort: "the sidecar's health checks"}
	for _, p := range []struct {
		port int32
		name string
		used bool
	}{
		{in.GRPCPort, "grpc-port", true},
		{in.InternalGRPCPort, "internal-grpc-port", true},
		{in.MetricsPort, "metrics-port", in.EnableMetrics},
		{in.DebugPort, "debug-port", in.EnableDebug},
		{in.AppPort, "app-port", in.AppPort > 0},
	} {
		if !p.used {
			continue
		}
		if other, clash := taken[p.port]; clash {
			in.warn("port %d of annotation %s is also that of %s: give one of them another", p.port, Prefix+p.name, other)
		}
		taken[p.port] = "annotation " + Prefix + p.name
	}
}

// variables are the sidecar's environment. Of two with one name the later holds.
func (in *injection) variables() []corev1.EnvVar {
	s := &in.settings
	var env []corev1.EnvVar
	set := func(v corev1.EnvVar) {
		if i := slices.IndexFunc(env, func(o corev1.EnvVar) bool { return o.Name == v.Name }); i >= 0 {
			env[i] = v
			return
		}
		env = append(env, v)
	}
	if in.pod.Namespace != "" {
		set(corev1.EnvVar{Name: "NAMESPACE", Value: in.pod.Namespace})
	} else {
		set(fromField("NAMESPACE", "metadata.namespace"))
	}
	if s.TrustAnchors != "" {
		set(corev1.EnvVar{Name: "DAPR_TRUST_ANCHORS", Value: s.TrustAnchors})
	}
	set(fromField("POD_NAME", "metadata.name"))
	set(corev1.EnvVar{Name: "DAPR_CONTROLPLANE_NAMESPACE", Value: s.Namespace})
	set(corev1.EnvVar{Name: "DAPR_CONTROLPLANE_TRUST_DOMAIN", Value: s.TrustDomain})
	if s.HostIP {
		set(fromField("DAPR_HOST_IP", "status.podIP"))
	}
	var names []string
	for _, v := range slices.Concat(in.Env, in.EnvFromSecret) {
		set(v)
		if !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	if len(names) > 0 {
		// Components may refer to these, and only to these.
		set(corev1.EnvVar{Name: "DAPR_ENV_KEYS", Value: strings.Join(names, " ")})
	}
	if in.APITokenSecret != "" {
		set(fromSecret("DAPR_API_TOKEN", in.APITokenSecret, "token"))
	}
	if in.AppTokenSecret != "" {
		set(fromSecret("APP_API_TOKEN", in.AppTokenSecret, "token"))
	}
	if in.hasComponents() {
		set(corev1.EnvVar{Name: socketsVariable, Value: in.ComponentsSocketsFolder})
	}
	return env
}

func fromField(variable, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

func probe(t ProbeTimes, h corev1.ProbeHandler) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:        h,
		InitialDelaySeconds: t.Delay, TimeoutSeconds: t.Timeout, PeriodSeconds: t.Period, FailureThreshold: t.Threshold,
	}
}

func (in *injection) resources() corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	in.setResource(&r, corev1.ResourceCPU, "cpu", in.CPURequest, in.CPULimit)
	in.setResource(&r, corev1.ResourceMemory, "memory", in.MemoryRequest, in.MemoryLimit)
	return r
}

func (in *injection) setResource(r *corev1.ResourceRequirements, name corev1.ResourceName, short string, request, limit *resource.Quantity) {
	if request != nil && limit != nil && request.Cmp(*limit) > 0 {
		in.warn("annotation %ssidecar-%s-request %q is ignored: it is more than %ssidecar-%s-limit, %q",
			Prefix, short, request.String(), Prefix, short, limit.String())
		request = nil
	}
	set := func(list *corev1.ResourceList, q *resource.Quantity) {
		if q == nil {
			return
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = *q
	}
	set(&r.Requests, request)
	set(&r.Limits, limit)
}

// securityContext leaves out what the pod's operating system refuses.
func (in *injection) securityContext() *corev1.SecurityContext {
	s := &in.settings
	var sc corev1.SecurityContext
	var system corev1.OSName
	if in.pod.Spec.OS != nil {
		system = in.pod.Spec.OS.Name
	}
	sc.RunAsNonRoot = &s.RunAsNonRoot
	if system != corev1.Windows {
		escalation := false
		sc.AllowPrivilegeEscalation = &escalation
		sc.ReadOnlyRootFilesystem = &s.ReadOnlyRootFilesystem
		sc.RunAsUser, sc.RunAsGroup = s.RunAsUser, s.RunAsGroup
		if s.RunAsUser != nil && *s.RunAsUser == 0 {
			sc.RunAsNonRoot = &escalation // both would keep the container from starting
		}
		if s.DropAllCapabilities {
			sc.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
		}
		if in.SeccompProfile != "" {
			sc.SeccompProfile = &corev1.SeccompProfile{Type: in.SeccompProfile}
		}
	}
	if system != corev1.Linux && in.addsCertificates() {
		// Only an administrator adds certificates on Windows.
		admin := "ContainerAdministrator"
		sc.WindowsOptions = &corev1.WindowsSecurityContextOptions{RunAsUserName: &admin}
	}
	return &sc
}

func (in *injection) addsCertificates() bool {
	return slices.ContainsFunc(in.Env, func(v corev1.EnvVar) bool { return v.Name == "SSL_CERT_DIR" })
}
