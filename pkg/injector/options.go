package injector

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/service"
)

// options are what the environment says.
type options struct {
	settings   inject.Settings
	requesters requesters
	// sentryAddress is where the injector gets its own certificate.
	sentryAddress string
	anchorsFile   string
}

// optionsFrom reads the environment; an error names the variable, its value and
// the fix.
func optionsFrom(env service.LookupEnv) (*options, error) {
	for _, name := range []string{"SIDECAR_IMAGE", "NAMESPACE"} {
		if env.Get(name) == "" {
			return nil, service.Usagef("environment variable %s is missing: the chart sets it", name)
		}
	}
	s := inject.Defaults(env.Get("SIDECAR_IMAGE"), env.Get("NAMESPACE"))
	s.ImagePullPolicy = corev1.PullPolicy(cmp.Or(env.Get("SIDECAR_IMAGE_PULL_POLICY"), string(corev1.PullAlways)))
	switch s.ImagePullPolicy {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return nil, badVariable("SIDECAR_IMAGE_PULL_POLICY", string(s.ImagePullPolicy), "use Always, IfNotPresent or Never")
	}
	s.ClusterDomain = env.Get("KUBE_CLUSTER_DOMAIN")
	if s.ClusterDomain == "" {
		s.ClusterDomain = clusterDomain(resolvConf())
	}
	s.TrustDomain = cmp.Or(env.Get("DAPR_CONTROL_PLANE_TRUST_DOMAIN"), s.TrustDomain)
	s.SentryAddress = env.Get("DAPR_SENTRY_ADDRESS")
	s.ActorsService = cmp.Or(env.Get("ACTORS_SERVICE_NAME"), s.ActorsService)
	s.ActorsAddress = cmp.Or(env.Get("ACTORS_SERVICE_ADDRESS"), s.ActorsAddress)
	s.RemindersService, s.RemindersAddress = env.Get("REMINDERS_SERVICE_NAME"), env.Get("REMINDERS_SERVICE_ADDRESS")

	actors := true
	for _, v := range []struct {
		name string
		to   *bool
	}{
		{"ACTORS_ENABLED", &actors},
		{"SIDECAR_RUN_AS_NON_ROOT", &s.RunAsNonRoot},
		{"SIDECAR_READ_ONLY_ROOT_FILESYSTEM", &s.ReadOnlyRootFilesystem},
		{"SIDECAR_DROP_ALL_CAPABILITIES", &s.DropAllCapabilities},
		{"ENABLE_K8S_DOWNWARD_APIS", &s.HostIP},
		{"NATIVE_SIDECAR_ENABLED", &s.NativeSidecar},
	} {
		if text := env.Get(v.name); text != "" {
			on, err := strconv.ParseBool(text)
			if err != nil {
				return nil, badVariable(v.name, text, "use true or false")
			}
			*v.to = on
		}
	}
	if !actors {
		s.ActorsService, s.ActorsAddress = "", ""
	}
	for _, v := range []struct {
		name string
		to   **int64
	}{
		{"SIDECAR_RUN_AS_USER", &s.RunAsUser},
		{"SIDECAR_RUN_AS_GROUP", &s.RunAsGroup},
	} {
		if text := env.Get(v.name); text != "" {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil || n < 0 {
				return nil, badVariable(v.name, text, "use a number of a user or group, such as 65532")
			}
			*v.to = &n
		}
	}
	if text := env.Get("IGNORE_ENTRYPOINT_TOLERATIONS"); text != "" {
		if err := json.Unmarshal([]byte(text), &s.CommandTolerations); err != nil {
			return nil, badVariable("IGNORE_ENTRYPOINT_TOLERATIONS", text, `use a JSON list of tolerations, such as [{"key":"virtual-kubelet.io/provider","effect":"NoSchedule"}]`)
		}
	}

	o := &options{
		settings:      s,
		sentryAddress: cmp.Or(s.SentryAddress, fmt.Sprintf("dapr-sentry.%s.svc:443", s.Namespace)),
		anchorsFile:   cmp.Or(env.Get("DAPR_TRUST_ANCHORS_FILE"), "/var/run/dapr.io/tls/ca.crt"),
	}
	var err error
	o.requesters, err = newRequesters(env)
	return o, err
}

func badVariable(name, value, fix string) error {
	return service.Usagef("environment variable %s is %q: %s", name, value, fix)
}

func resolvConf() string {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return "" // not every system has it; there is a default
	}
	return string(text)
}

// clusterDomain finds what the names of a cluster's services end with in the
// resolver's configuration of a pod.
func clusterDomain(resolvConf string) string {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		for _, suffix := range fields[1:] {
			if domain, ok := strings.CutPrefix(suffix, "svc."); ok {
				return strings.TrimSuffix(domain, ".")
			}
		}
	}
	return "cluster.local"
}
