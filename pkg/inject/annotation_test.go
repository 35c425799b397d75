package inject

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// samples are values other than the default, with what the sidecar gets them as
// when that is not the value itself.
var samples = map[string][2]string{
	"app-id":                           {"orders"},
	"app-port":                         {"3000"},
	"app-protocol":                     {"grpc"},
	"app-ssl":                          {"true", ""},
	"app-max-concurrency":              {"4"},
	"app-channel-address":              {"10.0.0.1"},
	"enable-app-health-check":          {"true", ""},
	"app-health-check-path":            {"/up"},
	"app-health-probe-interval":        {"7"},
	"app-health-probe-timeout":         {"70"},
	"app-health-threshold":             {"9"},
	"config":                           {"tracing"},
	"log-level":                        {"debug"},
	"log-as-json":                      {"true", ""},
	"enable-api-logging":               {"false", "=false"},
	"enable-profiling":                 {"true", ""},
	"enable-metrics":                   {"false", "=false"},
	"metrics-port":                     {"9999"},
	"grpc-port":                        {"50010"},
	"internal-grpc-port":               {"50020"},
	"sidecar-listen-addresses":         {"0.0.0.0"},
	"http-max-request-size":            {"16"},
	"max-body-size":                    {"16Mi"},
	"http-read-buffer-size":            {"16"},
	"read-buffer-size":                 {"16Ki"},
	"graceful-shutdown-seconds":        {"12"},
	"block-shutdown-duration":          {"3s"},
	"disable-builtin-k8s-secret-store": {"true", ""},
	"disable-init-endpoints":           {"config,subscribe"},
	"app-binding-options-timeout":      {"9s"},
	"sentry-request-jwt-audiences":     {"a,b"},
	"placement-host-address":           {"placement:1"},
	"actors-disseminate-timeout":       {"9s"},
	"scheduler-host-address":           {"scheduler:1"},
	"unix-domain-socket-path":          {"/sockets", socketFolder},
}

// Others that must be given for a flag to show.
var also = map[string]string{
	"app-health-check-path": "enable-app-health-check", "app-health-probe-interval": "enable-app-health-check",
	"app-health-probe-timeout": "enable-app-health-check", "app-health-threshold": "enable-app-health-check",
}

func TestEveryFlagOfTheTableReachesTheSidecar(t *testing.T) {
	for _, a := range Annotations() {
		if a.Flag == "" {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			sample, ok := samples[a.Name]
			require.True(t, ok, "add a sample")
			annotations := map[string]string{"enabled": "true", "app-id": "app", a.Name: sample[0]}
			if other := also[a.Name]; other != "" {
				annotations[other] = "true"
			}
			args := sidecarOf(t, annotated(annotations)).Args
			switch want := sample[1]; {
			case want == "" && sample[0] == "true", strings.HasPrefix(want, "="):
				require.Contains(t, args, a.Flag+want)
			default:
				if want == "" {
					want = sample[0]
				}
				i := slices.Index(args, a.Flag)
				require.GreaterOrEqual(t, i, 0, "%s in %v", a.Flag, args)
				require.Equal(t, want, args[i+1])
			}
		})
	}
}

func TestEveryVariableOfTheTableReachesTheSidecar(t *testing.T) {
	for _, a := range Annotations() {
		if a.Env == "" {
			continue
		}
		env := sidecarOf(t, annotated(map[string]string{"enabled": "true", "app-id": "app", "inject-pluggable-components": "true", a.Name: "/secret"})).Env
		i := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == a.Env })
		require.GreaterOrEqual(t, i, 0, "%s in %v", a.Env, env)
		if env[i].ValueFrom != nil {
			require.Equal(t, fromSecret(a.Env, "/secret", "token"), env[i])
		} else {
			require.Equal(t, "/secret", env[i].Value)
		}
	}
}

func TestEveryFlagOfASidecarIsKnown(t *testing.T) {
	settings := []string{
		"--dapr-http-port", "--dapr-public-port", "--mode", "--control-plane-address", "--sentry-address", "--enable-mtls",
	}
	known := settings
	for _, a := range Annotations() {
		known = append(known, a.Flag)
	}
	for _, arg := range sidecarOf(t, annotated(map[string]string{"enabled": "true", "app-id": "app", "enable-app-health-check": "true"})).Args {
		if strings.HasPrefix(arg, "--") {
			require.Contains(t, known, arg)
		}
	}
}

func TestTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Annotations() {
		require.NotEmpty(t, a.About, a.Name)
		require.False(t, seen[a.Name], a.Name)
		seen[a.Name] = true
		if a.Default == "" {
			continue
		}
		require.NotNil(t, a.read, a.Name)
		require.NoError(t, a.read(&Config{}, a.Default), a.Name)
	}
	c, warnings := Read(nil)
	require.Empty(t, warnings)
	require.Equal(t, "http", c.AppProtocol)
	require.Equal(t, ProbeTimes{Delay: 180, Timeout: 3, Period: 10, Threshold: 5}, c.LivenessProbe)
	require.Equal(t, ProbeTimes{Delay: 1, Timeout: 1, Period: 1, Threshold: 5}, c.ReadinessProbe)
	require.True(t, c.EnableMetrics)
}

func TestWhatDoesNotParseIsIgnoredAndNamed(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"app-port", "many", `annotation dapr.io/app-port "many" is ignored: must be a whole number from 0 to 65535`},
		{"app-port", "70000", `annotation dapr.io/app-port "70000" is ignored: must be a whole number from 0 to 65535`},
		{"app-port", "3000.0", `is ignored`},
		{"metrics-port", "0", `must be a whole number from 1 to 65535`},
		{"sidecar-liveness-probe-period-seconds", "0", `must be a whole number, 1 or more`},
		{"app-max-concurrency", "99999999999", `is ignored`},
		{"log-as-json", "maybe", `annotation dapr.io/log-as-json "maybe" is ignored: must be "true" or "false"`},
		{"sidecar-cpu-limit", "lots", `must be a Kubernetes quantity such as 100m, 0.5 or 250Mi`},
		{"sidecar-memory-limit", "-1Mi", `must be a Kubernetes quantity`},
		{"max-body-size", "4MB", `must be a number of bytes, or one with a suffix such as 4Ki or 16Mi`},
		{"block-shutdown-duration", "5", `must be a duration such as 500ms, 5s or 1m`},
		{"unix-domain-socket-path", "sockets", `must be an absolute path without a colon`},
		{"volume-mounts", "data", `must be VOLUME:/PATH,VOLUME:/PATH`},
		{"volume-mounts-rw", "data:/a:b", `must be VOLUME:/PATH,VOLUME:/PATH`},
		{"sidecar-seccomp-profile-type", "Localhost", `must be RuntimeDefault or Unconfined`},
		{"env", "hush", `annotation dapr.io/env is ignored: must be NAME=VALUE,NAME=VALUE`},
		{"env-from-secret", "A=:key", `A must be set to SECRET:KEY`},
		{"app-protocol", "htp", `annotation dapr.io/app-protocol "htp" will be refused by the sidecar: use http, https, h2c, grpc, grpcs`},
		{"app-prot", "1", `annotation dapr.io/app-prot is not known and does nothing; did you mean dapr.io/app-port?`},
		{"colour", "red", `annotation dapr.io/colour is not known and does nothing`},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			pod := annotated(map[string]string{"enabled": "true", "app-id": "app", tt.name: tt.value})
			r, err := Pod(pod, Defaults("daprd:1", "dapr-system"))
			require.NoError(t, err)
			require.True(t, r.Inject)
			require.Len(t, r.Warnings, 1)
			require.Contains(t, r.Warnings[0], tt.want)
			require.NotContains(t, r.Warnings[0], "hush", "a value that may be a secret")
			want, _ := Read(nil)
			got, _ := Read(map[string]string{Prefix + tt.name: tt.value})
			if len(tt.name) > 0 && tt.name != "app-protocol" {
				require.Equal(t, want, got)
			}
		})
	}
}

func TestTodaysNamesGoBeforeTheOldOnes(t *testing.T) {
	old := map[string]string{Prefix + "id": "old", Prefix + "port": "1000", Prefix + "protocol": "grpc"}
	c, warnings := Read(old)
	require.Empty(t, warnings)
	require.Equal(t, "old", c.AppID)
	require.EqualValues(t, 1000, c.AppPort)
	require.Equal(t, "grpc", c.AppProtocol)
	require.Equal(t, "old", AppID(old))

	old[Prefix+"app-id"], old[Prefix+"app-port"], old[Prefix+"app-protocol"] = "new", "2000", "grpc"
	c, warnings = Read(old)
	require.Equal(t, []string{
		`annotation dapr.io/id "old" is ignored: it is the old name of dapr.io/app-id, which is set too`,
		`annotation dapr.io/port "1000" is ignored: it is the old name of dapr.io/app-port, which is set too`,
	}, warnings)
	require.Equal(t, "new", c.AppID)
	require.EqualValues(t, 2000, c.AppPort)
	require.Equal(t, "new", AppID(old))
}

func TestValuesMayHoldCommas(t *testing.T) {
	c, warnings := Read(map[string]string{
		Prefix + "env":             "A=1,2,B=x=y, C=",
		Prefix + "env-from-secret": "D=vault:pass, E=vault",
	})
	require.Empty(t, warnings)
	require.Equal(t, []corev1.EnvVar{{Name: "A", Value: "1,2"}, {Name: "B", Value: "x=y"}, {Name: "C"}}, c.Env)
	require.Equal(t, []corev1.EnvVar{fromSecret("D", "vault", "pass"), fromSecret("E", "vault", "vault")}, c.EnvFromSecret)
}

func TestAppIDs(t *testing.T) {
	for _, id := range []string{"a", "node-app", "1st", strings.Repeat("x", 58)} {
		require.NoError(t, CheckAppID(id))
	}
	for id, want := range map[string]string{
		"":                      "must not be empty",
		"Node":                  "lower-case letters",
		"node_app":              "lower-case letters",
		"-node":                 "lower-case letters",
		"node-":                 "lower-case letters",
		"node.app":              "must not contain a dot",
		strings.Repeat("x", 59): "has 59 characters",
		"$(POD_NAME)":           "lower-case letters",
	} {
		err := CheckAppID(id)
		require.ErrorContains(t, err, want, id)
		var wrong *AppIDError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, id, wrong.ID)
	}
}

// annotated is a pod with one container and annotations without their prefix.
func annotated(annotations map[string]string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Namespace: "shop", Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
	for k, v := range annotations {
		pod.Annotations[Prefix+k] = v
	}
	return pod
}

func sidecarOf(t *testing.T, pod *corev1.Pod) corev1.Container {
	t.Helper()
	r, err := Pod(pod, Defaults("daprd:1", "dapr-system"))
	require.NoError(t, err)
	require.True(t, r.Inject)
	require.Empty(t, r.Warnings)
	return r.Pod.Spec.Containers[len(r.Pod.Spec.Containers)-1]
}
