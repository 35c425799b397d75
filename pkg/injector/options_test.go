package injector

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/hyperdapr/dapr/pkg/service"
)

func environment(more map[string]string) service.LookupEnv {
	env := map[string]string{"SIDECAR_IMAGE": "daprd:1", "NAMESPACE": "dapr-system", "KUBE_CLUSTER_DOMAIN": "cluster.local"}
	maps.Copy(env, more)
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestTheEnvironment(t *testing.T) {
	o, err := optionsFrom(environment(nil))
	require.NoError(t, err)
	require.Equal(t, corev1.PullAlways, o.settings.ImagePullPolicy)
	require.Equal(t, "dapr-sentry.dapr-system.svc:443", o.sentryAddress)
	require.Empty(t, o.settings.SentryAddress, "the sidecars have the full name")
	require.Equal(t, "/var/run/dapr.io/tls/ca.crt", o.anchorsFile)
	require.True(t, o.settings.RunAsNonRoot)
	require.Equal(t, "placement", o.settings.ActorsService)

	o, err = optionsFrom(environment(map[string]string{
		"SIDECAR_IMAGE_PULL_POLICY":         "Never",
		"KUBE_CLUSTER_DOMAIN":               "corp.example",
		"DAPR_CONTROL_PLANE_TRUST_DOMAIN":   "corp",
		"DAPR_SENTRY_ADDRESS":               "sentry.example:443",
		"DAPR_TRUST_ANCHORS_FILE":           "/ca.crt",
		"ACTORS_ENABLED":                    "false",
		"REMINDERS_SERVICE_NAME":            "keeper",
		"REMINDERS_SERVICE_ADDRESS":         "keeper:1",
		"SIDECAR_RUN_AS_NON_ROOT":           "false",
		"SIDECAR_RUN_AS_USER":               "65532",
		"SIDECAR_RUN_AS_GROUP":              "0",
		"SIDECAR_READ_ONLY_ROOT_FILESYSTEM": "false",
		"SIDECAR_DROP_ALL_CAPABILITIES":     "true",
		"ENABLE_K8S_DOWNWARD_APIS":          "true",
		"NATIVE_SIDECAR_ENABLED":            "true",
		"IGNORE_ENTRYPOINT_TOLERATIONS":     `[{"key":"virtual","effect":"NoSchedule"}]`,
	}))
	require.NoError(t, err)
	s := o.settings
	require.Equal(t, corev1.PullNever, s.ImagePullPolicy)
	require.Equal(t, "corp.example", s.ClusterDomain)
	require.Equal(t, "corp", s.TrustDomain)
	require.Equal(t, "sentry.example:443", s.SentryAddress)
	require.Equal(t, "sentry.example:443", o.sentryAddress)
	require.Equal(t, "/ca.crt", o.anchorsFile)
	require.Empty(t, s.ActorsService)
	require.Equal(t, "keeper", s.RemindersService)
	require.EqualValues(t, 65532, *s.RunAsUser)
	require.EqualValues(t, 0, *s.RunAsGroup)
	require.Equal(t, []bool{false, false, true, true, true}, []bool{s.RunAsNonRoot, s.ReadOnlyRootFilesystem, s.DropAllCapabilities, s.HostIP, s.NativeSidecar})
	require.Equal(t, []corev1.Toleration{{Key: "virtual", Effect: corev1.TaintEffectNoSchedule}}, s.CommandTolerations)
}

func TestBadVariablesAreNamed(t *testing.T) {
	for name, tt := range map[string]struct{ value, want string }{
		"SIDECAR_IMAGE":                         {"", "environment variable SIDECAR_IMAGE is missing: the chart sets it"},
		"NAMESPACE":                             {"", "environment variable NAMESPACE is missing: the chart sets it"},
		"SIDECAR_IMAGE_PULL_POLICY":             {"Sometimes", `environment variable SIDECAR_IMAGE_PULL_POLICY is "Sometimes": use Always, IfNotPresent or Never`},
		"NATIVE_SIDECAR_ENABLED":                {"ja", `environment variable NATIVE_SIDECAR_ENABLED is "ja": use true or false`},
		"SIDECAR_RUN_AS_USER":                   {"root", `environment variable SIDECAR_RUN_AS_USER is "root": use a number of a user or group, such as 65532`},
		"IGNORE_ENTRYPOINT_TOLERATIONS":         {"[", `use a JSON list of tolerations`},
		"ALLOWED_SERVICE_ACCOUNTS":              {"a:b,c", `environment variable ALLOWED_SERVICE_ACCOUNTS is "c": use NAMESPACE:NAME,NAMESPACE:NAME; a * stands for any characters`},
		"ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES": {"a:[", `is "a:["`},
	} {
		_, err := optionsFrom(environment(map[string]string{name: tt.value}))
		require.ErrorContains(t, err, tt.want)
		require.Equal(t, 2, service.ExitCode(err))
	}
}

func TestTheClustersDomain(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "cluster.local",
		"nameserver 10.0.0.1\nsearch lan\n": "cluster.local",
		"search dapr-system.svc.corp.example svc.corp.example corp.example lan\noptions ndots:5": "corp.example",
		"search a.svc.x. svc.x.": "x",
	} {
		require.Equal(t, want, clusterDomain(text), text)
	}
}

func TestRequesters(t *testing.T) {
	r, err := newRequesters(environment(map[string]string{
		"ALLOWED_SERVICE_ACCOUNTS":              "argo:workflow, ci-*:runner",
		"ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES": "vc-*:sa-dev*",
	}))
	require.NoError(t, err)
	for user, want := range map[string]string{
		"system:serviceaccount:kube-system:replicaset-controller": "",
		"system:serviceaccount:kube-system:job-controller":        "",
		"system:serviceaccount:argo:workflow":                     "",
		"system:serviceaccount:ci-7:runner":                       "",
		"system:serviceaccount:vc-a:sa-dev1":                      "",
		"system:serviceaccount:argo:other":                        `service account "argo:other"; allow it with the chart's value dapr_sidecar_injector.allowedServiceAccounts=argo:other`,
		"system:serviceaccount:ci:runner":                         `service account "ci:runner"`,
		"system:serviceaccount:evil:kube-system:job-controller":   "service account",
		"system:serviceaccount:evil":                              "not of the group system:masters",
		"kube-system:job-controller":                              "not of the group system:masters",
		"alice":                                                   `it was made by "alice", who is not of the group system:masters; let a Deployment make it`,
	} {
		got := r.refuse(authenticationv1.UserInfo{Username: user, Groups: []string{"system:authenticated"}})
		if want == "" {
			require.Empty(t, got, user)
		} else {
			require.Contains(t, got, want, user)
		}
	}
	require.Empty(t, r.refuse(authenticationv1.UserInfo{Username: "alice", Groups: []string{"system:masters"}}))
}
