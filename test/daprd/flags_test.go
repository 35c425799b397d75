package daprd

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// flags is every flag of the contract, with a value that is not its default.
// The values of ports are replaced by free ones.
var flags = []struct {
	name, value string
	// notBuilt is a flag whose feature is not built yet: it warns.
	notBuilt bool
	// deprecated names the flag to use instead.
	deprecated string
}{
	{name: "mode", value: "standalone"},
	{name: "app-id", value: "given"},
	{name: "app-port", value: "PORT"},
	{name: "app-protocol", value: "h2c"},
	{name: "app-channel-address", value: "localhost"},
	{name: "app-max-concurrency", value: "7"},
	{name: "app-ssl", value: "true", deprecated: "--app-protocol https or grpcs"},
	{name: "dapr-http-port", value: "PORT"},
	{name: "dapr-grpc-port", value: "PORT"},
	{name: "dapr-internal-grpc-port", value: "PORT"},
	{name: "dapr-internal-grpc-listen-address", value: "127.0.0.1"},
	{name: "dapr-public-port", value: "PORT"},
	{name: "dapr-public-listen-address", value: "127.0.0.1"},
	{name: "dapr-listen-addresses", value: "127.0.0.1"},
	{name: "profile-port", value: "PORT"},
	{name: "enable-profiling", value: "true"},
	{name: "unix-domain-socket", value: "FOLDER"},
	{name: "resources-path", value: "FOLDER"},
	{name: "components-path", value: "FOLDER", deprecated: "--resources-path"},
	{name: "config", value: "CONFIG"},
	{name: "control-plane-address", value: "localhost:1"},
	{name: "sentry-address", value: "localhost:1"},
	{name: "control-plane-trust-domain", value: "example.org"},
	{name: "control-plane-namespace", value: "system"},
	{name: "sentry-request-jwt-audiences", value: "x,y"},
	{name: "enable-mtls", value: "false"}, // true needs a control plane
	{name: "allowed-origins", value: "*"},
	{name: "placement-host-address", value: "localhost:50005", notBuilt: true},
	{name: "scheduler-host-address", value: "localhost:50006", notBuilt: true},
	{name: "scheduler-job-streams", value: "5", notBuilt: true},
	{name: "actors-disseminate-timeout", value: "20s", notBuilt: true},
	{name: "actors-service", value: "placement:localhost:1", notBuilt: true},
	{name: "reminders-service", value: "scheduler:localhost:1", notBuilt: true},
	{name: "max-body-size", value: "8Mi"},
	{name: "dapr-http-max-request-size", value: "8", deprecated: "--max-body-size"},
	{name: "read-buffer-size", value: "8Ki"},
	{name: "dapr-http-read-buffer-size", value: "8", deprecated: "--read-buffer-size"},
	{name: "dapr-graceful-shutdown-seconds", value: "3"},
	{name: "dapr-block-shutdown-duration", value: "10ms"},
	{name: "enable-api-logging", value: "true"},
	{name: "disable-builtin-k8s-secret-store", value: "true"},
	{name: "enable-app-health-check", value: "true"},
	{name: "app-health-check-path", value: "/health"},
	{name: "app-health-probe-interval", value: "4"},
	{name: "app-health-probe-timeout", value: "400"},
	{name: "app-health-threshold", value: "2"},
	{name: "disable-init-endpoints", value: "config,subscribe", notBuilt: true},
	{name: "app-binding-options-timeout", value: "4s", notBuilt: true},
	{name: "log-level", value: "debug"},
	{name: "log-as-json", value: "false"},
	{name: "enable-metrics", value: "true"},
	{name: "metrics-port", value: "PORT"},
	{name: "metrics-listen-address", value: "127.0.0.1"},
}

func TestEveryFlagAtOnceWarnsOnlyOfWhatItMust(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var args []string
	var warnings []string
	for _, f := range flags {
		if f.name == "unix-domain-socket" {
			continue // it stands in for the ports
		}
		value := f.value
		switch value {
		case "PORT":
			value = freePort(t)
		case "FOLDER":
			value = t.TempDir()
		case "CONFIG":
			continue // given below
		}
		args = append(args, "--"+f.name+"="+value)
		switch {
		case f.notBuilt:
			warnings = append(warnings, fmt.Sprintf("flag --%s is accepted, but what it configures is not built yet: it has no effect", f.name))
		case f.deprecated != "":
			warnings = append(warnings, fmt.Sprintf("flag --%s is deprecated: use %s", f.name, f.deprecated))
		}
	}
	s := begin(t, "given", given{home: home, config: configuration("  features: []\n"), args: args})
	s.waitFor("/v1.0/healthz/outbound")

	for _, w := range warnings {
		require.Len(t, s.lines(w), 1, w)
	}
	require.Len(t, s.lines("level=warning"), len(warnings), "no other warnings")
	a := s.call(http.MethodGet, "/v1.0/metadata", "")
	require.Contains(t, a.body, `"protocol":"h2c"`, "--app-ssl leaves h2c as it is")
	require.Contains(t, a.body, `"channelAddress":"localhost"`)
	require.Contains(t, a.body, `"maxConcurrency":7`)
	require.Contains(t, a.body, `"healthCheckPath":"/health"`)
	require.Contains(t, a.body, `"healthProbeInterval":"4s"`)
	require.Contains(t, a.body, `"healthProbeTimeout":"400ms"`)
	require.Contains(t, a.body, `"healthThreshold":2`)
}

// Whatever is in the contract is in the help, and the other way round.
func TestHelpListsEveryFlag(t *testing.T) {
	t.Parallel()
	code, help := finished(t, "", []string{"--help"}, nil)
	require.Zero(t, code)
	require.True(t, strings.HasPrefix(help, "daprd is the sidecar of one app.\n"), help)
	known := map[string]bool{"help": true, "wait": true, "version": true, "build-info": true}
	for _, f := range flags {
		known[f.name] = true
	}
	known["strict-components"] = true // of this implementation
	for line := range strings.Lines(help) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--"); ok {
			name, _, _ = strings.Cut(name, " ")
			require.True(t, known[name], "--%s is in the help only", name)
			delete(known, name)
		}
	}
	delete(known, "help")
	require.Empty(t, known, "not in the help")
}

func TestEnvironmentOfFeaturesToComeWarnsOnceByName(t *testing.T) {
	t.Parallel()
	names := []string{"DAPR_COMPONENTS_SOCKETS_FOLDER", "DAPR_SCHEDULER_HOST_ADDRESS_DNS_A", "OTEL_EXPORTER_OTLP_ENDPOINT"}
	var env []string
	for _, n := range names {
		env = append(env, n+"=value-of-it")
	}
	s := start(t, "a", given{env: env})
	for _, n := range names {
		require.Len(t, s.lines("environment variable "+n), 1)
	}
	require.NotContains(t, s.log.String(), "value-of-it")
}
