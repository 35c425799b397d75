package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Prefix is what every annotation's key begins with.
const Prefix = "dapr.io/"

// Annotation tells about one annotation of a pod.
type Annotation struct {
	// Name is the key without Prefix, and Legacy a name it had before; today's
	// goes first where both are set.
	Name, Legacy string
	// Default is the value that holds without it; empty where the sidecar, the
	// chart or the cluster has its own.
	Default string
	// Flag and Env are what the sidecar gets it as, where it gets it.
	Flag, Env string
	// OneOf are the values the sidecar takes, where there are few.
	OneOf []string
	// About is one line on what it does.
	About string

	read   reader // nil: nothing about the sidecar's container
	blank  bool   // a blank value means something
	secret bool   // the value is not for logs
}

// find returns the annotation's value, and the key it stands under.
func (a *Annotation) find(annotations map[string]string) (key, value string, given bool) {
	key = Prefix + a.Name
	value, given = annotations[key]
	if old := Prefix + a.Legacy; value == "" && a.Legacy != "" && annotations[old] != "" {
		return old, annotations[old], true
	}
	return key, value, given
}

// Annotations lists what a pod may say, in the order of the documentation.
func Annotations() []Annotation { return slices.Clone(table) }

// Lookup returns the annotation of a name without its prefix.
func Lookup(name string) (a Annotation, known bool) {
	i := slices.IndexFunc(table, func(a Annotation) bool { return a.Name == name })
	if i < 0 {
		return a, false
	}
	return table[i], true
}

// Check says what is right when a value is not.
func (a *Annotation) Check(value string) error {
	switch {
	case a.Name == "app-id":
		return CheckAppID(value)
	case len(a.OneOf) > 0 && !slices.Contains(a.OneOf, strings.ToLower(value)):
		return fmt.Errorf("must be one of %s", strings.Join(a.OneOf, ", "))
	case a.read == nil:
		return nil
	}
	return a.read(&Config{}, value)
}

// table is the one place where annotations are declared: reading, the sidecar's
// flags (by a test), and the documentation follow it.
var table = []Annotation{
	{
		Name: "enabled", Default: "false",
		About: "the pod gets a sidecar",
		read:  into(truth, func(c *Config) *bool { return &c.Enabled }),
	},
	{
		Name: "enable-native-sidecar",
		About: "the sidecar is an init container that keeps running: it starts before the app, ends after it, and lets jobs complete; " +
			"not given: the chart decides",
		read: into(maybe(truth), func(c *Config) **bool { return &c.EnableNativeSidecar }),
	},

	// The app.
	{
		Name: "app-id", Legacy: "id", Flag: "--app-id",
		About: "the app's id, by which others call it",
		read:  into(text, func(c *Config) *string { return &c.AppID }),
	},
	{
		Name: "app-port", Legacy: "port", Default: "0", Flag: "--app-port",
		About: "the port the app listens on; 0: it takes no calls",
		read:  into(number(0, 65535), func(c *Config) *int32 { return &c.AppPort }),
	},
	{
		Name: "app-protocol", Legacy: "protocol", Default: "http", Flag: "--app-protocol",
		OneOf: []string{"http", "https", "h2c", "grpc", "grpcs"},
		About: "the protocol the app speaks",
		read:  into(trimmed, func(c *Config) *string { return &c.AppProtocol }),
	},
	{
		Name: "app-ssl", Default: "false", Flag: "--app-ssl",
		About: "the app speaks TLS (deprecated: app-protocol https or grpcs)",
		read:  into(truth, func(c *Config) *bool { return &c.AppSSL }),
	},
	{
		Name: "app-max-concurrency", Flag: "--app-max-concurrency",
		About: "calls to the app at one time; -1: no limit",
		read:  into(maybe(anyInt), func(c *Config) **int32 { return &c.AppMaxConcurrency }),
	},
	{
		Name: "app-channel-address", Flag: "--app-channel-address",
		About: "the address the app listens on, when it is not 127.0.0.1",
		read:  into(trimmed, func(c *Config) *string { return &c.AppChannelAddress }),
	},
	{
		Name: "app-token-secret", Env: "APP_API_TOKEN",
		About: "the Secret whose key `token` is sent to the app with every call",
		read:  into(trimmed, func(c *Config) *string { return &c.AppTokenSecret }),
	},
	{
		Name: "api-token-secret", Env: "DAPR_API_TOKEN",
		About: "the Secret whose key `token` the app must send with every call",
		read:  into(trimmed, func(c *Config) *string { return &c.APITokenSecret }),
	},
	{
		Name: "enable-app-health-check", Default: "false", Flag: "--enable-app-health-check",
		About: "probe the app, and hold back calls while it is unhealthy",
		read:  into(truth, func(c *Config) *bool { return &c.AppHealthCheck }),
	},
	{
		Name: "app-health-check-path", Default: "/healthz", Flag: "--app-health-check-path",
		About: "the path of the probe, for HTTP apps",
		read:  into(text, func(c *Config) *string { return &c.AppHealthPath }),
	},
	{
		Name: "app-health-probe-interval", Default: "5", Flag: "--app-health-probe-interval",
		About: "seconds between probes of the app",
		read:  into(positive, func(c *Config) *int32 { return &c.AppHealthInterval }),
	},
	{
		Name: "app-health-probe-timeout", Default: "500", Flag: "--app-health-probe-timeout",
		About: "milliseconds that a probe of the app may take",
		read:  into(positive, func(c *Config) *int32 { return &c.AppHealthTimeout }),
	},
	{
		Name: "app-health-threshold", Default: "3", Flag: "--app-health-threshold",
		About: "failed probes in a row that make the app unhealthy",
		read:  into(positive, func(c *Config) *int32 { return &c.AppHealthThreshold }),
	},

	// The sidecar.
	{
		Name: "config", Flag: "--config",
		About: "the Configuration the sidecar uses",
		read:  into(trimmed, func(c *Config) *string { return &c.Configuration }),
	},
	{
		Name: "log-level", Default: "info", Flag: "--log-level",
		OneOf: []string{"debug", "info", "warn", "warning", "error", "fatal"},
		About: "the lowest level that is logged",
		read:  into(trimmed, func(c *Config) *string { return &c.LogLevel }),
	},
	{
		Name: "log-as-json", Default: "false", Flag: "--log-as-json",
		About: "log as JSON",
		read:  into(truth, func(c *Config) *bool { return &c.LogAsJSON }),
	},
	{
		Name: "enable-api-logging", Flag: "--enable-api-logging",
		About: "log every API call; not given: the Configuration decides",
		read:  into(maybe(truth), func(c *Config) **bool { return &c.APILogging }),
	},
	{
		Name: "enable-profiling", Default: "false", Flag: "--enable-profiling",
		About: "serve profiles",
		read:  into(truth, func(c *Config) *bool { return &c.Profiling }),
	},
	{
		Name: "enable-metrics", Default: "true", Flag: "--enable-metrics",
		About: "serve Prometheus metrics",
		read:  into(truth, func(c *Config) *bool { return &c.EnableMetrics }),
	},
	{
		Name: "metrics-port", Default: "9090", Flag: "--metrics-port",
		About: "the port of the metrics",
		read:  into(port, func(c *Config) *int32 { return &c.MetricsPort }),
	},
	{
		Name: "enable-debug", Default: "false",
		About: "run the sidecar in the debugger /dlv, which the image must have",
		read:  into(truth, func(c *Config) *bool { return &c.EnableDebug }),
	},
	{
		Name: "debug-port", Default: "40000",
		About: "the port of the debugger",
		read:  into(port, func(c *Config) *int32 { return &c.DebugPort }),
	},
	{
		Name: "grpc-port", Default: "50001", Flag: "--dapr-grpc-port",
		About: "the port of the gRPC API",
		read:  into(port, func(c *Config) *int32 { return &c.GRPCPort }),
	},
	{
		Name: "internal-grpc-port", Default: "50002", Flag: "--dapr-internal-grpc-port",
		About: "the port for other sidecars",
		read:  into(port, func(c *Config) *int32 { return &c.InternalGRPCPort }),
	},
	{
		Name: "sidecar-listen-addresses", Default: "[::1],127.0.0.1", Flag: "--dapr-listen-addresses",
		About: "the addresses of the APIs, separated by commas",
		read:  into(trimmed, func(c *Config) *string { return &c.ListenAddresses }),
	},
	{
		Name: "http-max-request-size", Flag: "--dapr-http-max-request-size",
		About: "the largest request body, in MB (deprecated: max-body-size)",
		read:  into(maybe(anyInt), func(c *Config) **int32 { return &c.HTTPMaxRequestSize }),
	},
	{
		Name: "max-body-size", Flag: "--max-body-size",
		About: "the largest request body, such as 16Mi",
		read:  into(size, func(c *Config) *string { return &c.MaxBodySize }),
	},
	{
		Name: "http-read-buffer-size", Flag: "--dapr-http-read-buffer-size",
		About: "the largest request header, in KB (deprecated: read-buffer-size)",
		read:  into(maybe(anyInt), func(c *Config) **int32 { return &c.HTTPReadBufferSize }),
	},
	{
		Name: "read-buffer-size", Flag: "--read-buffer-size",
		About: "the largest request header, such as 8Ki",
		read:  into(size, func(c *Config) *string { return &c.ReadBufferSize }),
	},
	{
		Name:  "http-stream-request-body",
		About: "nothing any more: bodies always stream",
	},
	{
		Name: "graceful-shutdown-seconds", Default: "-1", Flag: "--dapr-graceful-shutdown-seconds",
		About: "seconds for a graceful end; -1: the sidecar's default",
		read:  into(anyInt, func(c *Config) *int32 { return &c.GracefulShutdownSeconds }),
	},
	{
		Name: "block-shutdown-duration", Flag: "--dapr-block-shutdown-duration",
		About: "keep serving this long after the request to end, or until the app is unhealthy",
		read:  into(duration, func(c *Config) *string { return &c.BlockShutdownDuration }),
	},
	{
		Name: "disable-builtin-k8s-secret-store", Default: "false", Flag: "--disable-builtin-k8s-secret-store",
		About: "no secret store `kubernetes` by itself",
		read:  into(truth, func(c *Config) *bool { return &c.DisableSecretStore }),
	},
	{
		Name: "disable-init-endpoints", Flag: "--disable-init-endpoints",
		About: "do not ask the app at start for `config`, `subscribe`",
		read:  into(trimmed, func(c *Config) *string { return &c.DisableInitEndpoints }),
	},
	{
		Name: "app-binding-options-timeout", Flag: "--app-binding-options-timeout",
		About: "how long the app may take to say which bindings it handles",
		read:  into(duration, func(c *Config) *string { return &c.BindingOptionsTimeout }),
	},
	{
		Name: "sentry-request-jwt-audiences", Flag: "--sentry-request-jwt-audiences",
		About: "the audiences of the tokens of the sidecar's identity, separated by commas",
		read:  into(trimmed, func(c *Config) *string { return &c.SentryJWTAudiences }),
	},
	{
		Name: "placement-host-address", Flag: "--placement-host-address", blank: true,
		About: "where actors are placed; blank: no actors; not given: the control plane",
		read:  into(maybe(trimmed), func(c *Config) **string { return &c.PlacementAddress }),
	},
	{
		Name: "actors-disseminate-timeout", Flag: "--actors-disseminate-timeout",
		About: "how long a change of the actors' places may take",
		read:  into(duration, func(c *Config) *string { return &c.ActorsDisseminateTimeout }),
	},
	{
		Name: "scheduler-host-address", Flag: "--scheduler-host-address", blank: true,
		About: "where jobs and reminders are kept; blank: nowhere; not given: the control plane",
		read:  into(maybe(trimmed), func(c *Config) **string { return &c.SchedulerAddress }),
	},
	{
		Name: "unix-domain-socket-path", Flag: "--unix-domain-socket",
		About: "the folder in the app's containers where the APIs listen on sockets, in place of ports",
		read:  into(folder, func(c *Config) *string { return &c.UnixDomainSocketPath }),
	},

	// The sidecar's container.
	{
		Name:  "sidecar-image",
		About: "the sidecar's image; not given: the control plane's version",
		read:  into(trimmed, func(c *Config) *string { return &c.Image }),
	},
	{
		Name: "env", secret: true,
		About: "variables of the sidecar: NAME=VALUE,NAME=VALUE; values may hold commas",
		read:  into(variables, func(c *Config) *[]corev1.EnvVar { return &c.Env }),
	},
	{
		Name:  "env-from-secret",
		About: "variables of the sidecar out of Secrets: NAME=SECRET:KEY,NAME=SECRET",
		read:  into(secretVariables, func(c *Config) *[]corev1.EnvVar { return &c.EnvFromSecret }),
	},
	{
		Name:  "volume-mounts",
		About: "volumes of the pod that the sidecar reads: VOLUME:/PATH,VOLUME:/PATH",
		read:  into(mounts(true), func(c *Config) *[]corev1.VolumeMount { return &c.VolumeMounts }),
	},
	{
		Name:  "volume-mounts-rw",
		About: "volumes of the pod that the sidecar writes too: VOLUME:/PATH,VOLUME:/PATH",
		read:  into(mounts(false), func(c *Config) *[]corev1.VolumeMount { return &c.VolumeMountsRW }),
	},
	{
		Name:  "sidecar-seccomp-profile-type",
		About: "RuntimeDefault or Unconfined; not given: the pod's",
		read:  into(seccomp, func(c *Config) *corev1.SeccompProfileType { return &c.SeccompProfile }),
	},
	{
		Name:  "sidecar-cpu-request",
		About: "CPU kept for the sidecar, such as 100m",
		read:  into(maybe(amount), func(c *Config) **resource.Quantity { return &c.CPURequest }),
	},
	{
		Name:  "sidecar-cpu-limit",
		About: "the most CPU the sidecar gets",
		read:  into(maybe(amount), func(c *Config) **resource.Quantity { return &c.CPULimit }),
	},
	{
		Name:  "sidecar-memory-request",
		About: "memory kept for the sidecar, such as 64Mi",
		read:  into(maybe(amount), func(c *Config) **resource.Quantity { return &c.MemoryRequest }),
	},
	{
		Name:  "sidecar-memory-limit",
		About: "the most memory the sidecar gets",
		read:  into(maybe(amount), func(c *Config) **resource.Quantity { return &c.MemoryLimit }),
	},
	{
		Name: "sidecar-liveness-probe-delay-seconds", Default: "180",
		About: "seconds before the first liveness probe",
		read:  into(natural, func(c *Config) *int32 { return &c.LivenessProbe.Delay }),
	},
	{
		Name: "sidecar-liveness-probe-timeout-seconds", Default: "3",
		About: "seconds a liveness probe may take",
		read:  into(positive, func(c *Config) *int32 { return &c.LivenessProbe.Timeout }),
	},
	{
		Name: "sidecar-liveness-probe-period-seconds", Default: "10",
		About: "seconds between liveness probes",
		read:  into(positive, func(c *Config) *int32 { return &c.LivenessProbe.Period }),
	},
	{
		Name: "sidecar-liveness-probe-threshold", Default: "5",
		About: "failed liveness probes in a row that restart the sidecar",
		read:  into(positive, func(c *Config) *int32 { return &c.LivenessProbe.Threshold }),
	},
	{
		Name: "sidecar-readiness-probe-delay-seconds", Default: "1",
		About: "seconds before the first readiness probe",
		read:  into(natural, func(c *Config) *int32 { return &c.ReadinessProbe.Delay }),
	},
	{
		Name: "sidecar-readiness-probe-timeout-seconds", Default: "1",
		About: "seconds a readiness probe may take",
		read:  into(positive, func(c *Config) *int32 { return &c.ReadinessProbe.Timeout }),
	},
	{
		Name: "sidecar-readiness-probe-period-seconds", Default: "1",
		About: "seconds between readiness probes",
		read:  into(positive, func(c *Config) *int32 { return &c.ReadinessProbe.Period }),
	},
	{
		Name: "sidecar-readiness-probe-threshold", Default: "5",
		About: "failed readiness probes in a row that make the pod not ready",
		read:  into(positive, func(c *Config) *int32 { return &c.ReadinessProbe.Threshold }),
	},

	// Components in containers of their own.
	{
		Name:  "pluggable-components",
		About: "containers of the pod that serve components over sockets, separated by commas",
		read:  into(list, func(c *Config) *[]string { return &c.PluggableComponents }),
	},
	{
		Name: "pluggable-components-sockets-folder", Default: "/tmp/dapr-components-sockets", Env: "DAPR_COMPONENTS_SOCKETS_FOLDER",
		About: "the folder of those sockets",
		read:  into(folder, func(c *Config) *string { return &c.ComponentsSocketsFolder }),
	},
	{
		Name: "inject-pluggable-components", Default: "false",
		About: "the pod gets a container for each of the app's Components that bring one",
		read:  into(truth, func(c *Config) *bool { return &c.InjectPluggableComponents }),
	},
	{
		Name:  "component-container",
		About: "on a Component: the container, as JSON, that serves it",
	},

	// Read by others than the injector.
	{
		Name:  "sidecar-svc-annotations",
		About: "annotations of the app's service, for the operator: KEY=VALUE,KEY=VALUE",
	},
	{
		Name:  "control-plane",
		About: "on the control plane's own pods: which service it is",
	},
}
