package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// Config is what a pod's annotations say; Annotations tells about each. A
// pointer is nil, and a text empty, where the sidecar's or the cluster's own
// default holds.
type Config struct {
	Enabled             bool
	EnableNativeSidecar *bool

	AppID             string
	AppPort           int32 // 0: the app takes no calls
	AppProtocol       string
	AppSSL            bool
	AppMaxConcurrency *int32
	AppChannelAddress string
	AppTokenSecret    string
	APITokenSecret    string

	AppHealthCheck     bool
	AppHealthPath      string
	AppHealthInterval  int32 // seconds
	AppHealthTimeout   int32 // milliseconds
	AppHealthThreshold int32

	Configuration             string
	LogLevel                  string
	LogAsJSON                 bool
	APILogging                *bool
	Profiling                 bool
	EnableMetrics             bool
	MetricsPort               int32
	EnableDebug               bool
	DebugPort                 int32
	GRPCPort                  int32
	InternalGRPCPort          int32
	ListenAddresses           string
	HTTPMaxRequestSize        *int32 // MB
	MaxBodySize               string
	HTTPReadBufferSize        *int32 // KB
	ReadBufferSize            string
	GracefulShutdownSeconds   int32
	BlockShutdownDuration     string
	DisableSecretStore        bool
	DisableInitEndpoints      string
	BindingOptionsTimeout     string
	SentryJWTAudiences        string
	PlacementAddress          *string // blank: no placement
	SchedulerAddress          *string // blank: no scheduler
	ActorsDisseminateTimeout  string
	UnixDomainSocketPath      string
	PluggableComponents       []string
	ComponentsSocketsFolder   string
	InjectPluggableComponents bool

	Image                         string
	Env                           []corev1.EnvVar
	EnvFromSecret                 []corev1.EnvVar
	VolumeMounts                  []corev1.VolumeMount
	VolumeMountsRW                []corev1.VolumeMount
	SeccompProfile                corev1.SeccompProfileType
	CPURequest, CPULimit          *resource.Quantity
	MemoryRequest, MemoryLimit    *resource.Quantity
	LivenessProbe, ReadinessProbe ProbeTimes
}

// ProbeTimes are how often a probe is made, in seconds, and how many must fail.
type ProbeTimes struct{ Delay, Timeout, Period, Threshold int32 }

// Read reads a pod's annotations. What cannot be understood is left at its
// default and named in the warnings.
func Read(annotations map[string]string) (*Config, []string) {
	c := &Config{}
	var warnings []string
	for _, a := range table {
		if a.read == nil {
			continue
		}
		if a.Default != "" {
			_ = a.read(c, a.Default) // a test holds that defaults parse
		}
		key, value, given := a.find(annotations)
		if !given || (value == "" && !a.blank) {
			continue
		}
		if old := Prefix + a.Legacy; a.Legacy != "" && key != old && annotations[old] != "" && annotations[old] != value {
			warnings = append(warnings, fmt.Sprintf("annotation %s %q is ignored: it is the old name of %s, which is set too", old, annotations[old], key))
		}
		if err := a.read(c, value); err != nil {
			shown := fmt.Sprintf(" %q", value)
			if a.secret {
				shown = ""
			}
			warnings = append(warnings, fmt.Sprintf("annotation %s%s is ignored: %v", key, shown, err))
		}
		if len(a.OneOf) > 0 && !slices.Contains(a.OneOf, strings.ToLower(value)) {
			warnings = append(warnings, fmt.Sprintf("annotation %s %q will be refused by the sidecar: use %s", key, value, strings.Join(a.OneOf, ", ")))
		}
	}
	return c, append(warnings, unknown(annotations)...)
}

// unknown names annotations under our prefix that mean nothing: most are typos.
func unknown(annotations map[string]string) []string {
	var warnings, names []string
	for _, a := range table {
		names = append(names, a.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ours := strings.CutPrefix(key, Prefix)
		if !ours || slices.ContainsFunc(table, func(a Annotation) bool { return name == a.Name || name == a.Legacy }) {
			continue
		}
		w := fmt.Sprintf("annotation %s is not known and does nothing", key)
		if near := nearest.Name(name, names); near != "" {
			w += fmt.Sprintf("; did you mean %s?", Prefix+near)
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// Enabled tells whether annotations ask for a sidecar.
func Enabled(annotations map[string]string) bool {
	on, err := truth(annotations[Prefix+"enabled"])
	return on && err == nil
}

// AppID is the id that annotations give, under today's name or the old one, or
// nothing.
func AppID(annotations map[string]string) string {
	a, _ := Lookup("app-id")
	_, id, _ := a.find(annotations)
	return id
}

// AppIDError is an id that no service could be named after.
type AppIDError struct{ ID, Fix string }

func (e *AppIDError) Error() string {
	return fmt.Sprintf("annotation %sapp-id %q %s", Prefix, e.ID, e.Fix)
}

// CheckAppID returns an *AppIDError for an id that does not fit into the names
// Kubernetes gives to services.
func CheckAppID(id string) error {
	const suffix = "-dapr"
	longest := validation.DNS1123LabelMaxLength - len(suffix)
	switch {
	case id == "":
		return &AppIDError{id, "must not be empty: give the app an id, such as orders"}
	case strings.Contains(id, "."):
		return &AppIDError{id, "must not contain a dot: what follows one is read as the namespace; use a dash"}
	case len(id) > longest:
		return &AppIDError{id, fmt.Sprintf("has %d characters: the app's service is named after it with %q behind, so use at most %d", len(id), suffix, longest)}
	case len(validation.IsDNS1123Label(id)) > 0:
		return &AppIDError{id, "must consist of lower-case letters, digits and dashes, with a letter or digit at both ends: the app's service is named after it"}
	}
	return nil
}

// podNameReference becomes the pod's name when its container starts.
const podNameReference = "$(POD_NAME)"

// nameForAppID takes the pod's name for a missing id, and returns what to say
// about that. A pod that a workload makes has none yet, so that one is filled
// in later.
func nameForAppID(pod *corev1.Pod, c *Config) string {
	if pod.Name != "" {
		c.AppID = pod.Name
		return fmt.Sprintf("annotation %sapp-id is missing: the pod's name, %q, is taken; give the app an id of its own", Prefix, pod.Name)
	}
	c.AppID = podNameReference
	return fmt.Sprintf("annotation %sapp-id is missing: the pod's name is taken, which differs from pod to pod; give the app an id of its own", Prefix)
}
