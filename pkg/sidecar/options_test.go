package sidecar

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func env(pairs ...string) LookupEnv {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestParseOptionsDefaults(t *testing.T) {
	o, err := ParseOptions([]string{"--app-id", "a"}, env("NAMESPACE", "ns", "DAPR_API_TOKEN", "t"))
	require.NoError(t, err)
	require.Equal(t, 3500, o.HTTPPort)
	require.Equal(t, 50001, o.GRPCPort)
	require.Equal(t, 9090, o.MetricsPort)
	require.Equal(t, int64(4<<20), o.MaxBodySize)
	require.Equal(t, int64(4<<10), o.ReadBufferSize)
	require.Equal(t, 5*time.Second, o.GracefulShutdown)
	require.Equal(t, 500*time.Millisecond, o.AppHealthTimeout)
	require.Equal(t, "ns", o.Namespace)
	require.Equal(t, "t", o.APIToken)
	require.Nil(t, o.EnableAPILogging)
	require.False(t, o.StrictComponents)
	require.Empty(t, o.Warnings)
}

func TestParseOptionsReadsEveryForm(t *testing.T) {
	o, err := ParseOptions([]string{
		"--app-id=a", "--app-port", "-1", "--mode", "kubernetes", "--control-plane-address", "dapr-api:443", "--app-protocol", "GRPC", "--max-body-size", "16Mi",
		"--enable-api-logging=false", "--resources-path", "x,y", "--resources-path", "z", "--dapr-listen-addresses", "[::1], 127.0.0.1",
	}, env("NAMESPACE", "shop"))
	require.NoError(t, err)
	require.Equal(t, 0, o.AppPort)
	require.Equal(t, "grpc", o.AppProtocol)
	require.Equal(t, int64(16<<20), o.MaxBodySize)
	require.False(t, *o.EnableAPILogging)
	require.True(t, o.StrictComponents, "strict is the default in Kubernetes")
	require.Equal(t, []string{"x", "y", "z"}, o.ResourcesPaths)
	require.Equal(t, []string{"::1", "127.0.0.1"}, o.ListenAddresses)
}

func TestParseOptionsWarns(t *testing.T) {
	o, err := ParseOptions([]string{
		"--app-id", "a", "--placement-host-address", "p:50005", "--components-path", "c", "--app-ssl", "--dapr-http-max-request-size", "8", "--scheduler-job-streams", "3",
	}, env("DAPR_COMPONENTS_SOCKETS_FOLDER", "/x"))
	require.NoError(t, err)
	require.Equal(t, []string{
		"flag --components-path is deprecated: use --resources-path",
		"flag --app-ssl is deprecated: use --app-protocol https or grpcs",
		"flag --dapr-http-max-request-size is deprecated: use --max-body-size",
		"flag --placement-host-address is accepted, but what it configures is not built yet: it has no effect",
		"environment variable DAPR_COMPONENTS_SOCKETS_FOLDER is accepted, but what it configures is not built yet: it has no effect",
	}, o.Warnings)
	require.Equal(t, []string{"c"}, o.ResourcesPaths)
	require.Equal(t, "https", o.AppProtocol)
	require.Equal(t, int64(8<<20), o.MaxBodySize)
}

func TestParseOptionsErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		err  string
	}{
		{"no app id", nil, "--app-id is missing: give the app an id, such as --app-id orders"},
		{"dot in the app id", []string{"--app-id", "a.b"}, `--app-id "a.b" must not contain a dot: what follows one is read as the namespace; use a dash`},
		{"unknown flag", []string{"--ap-id", "a"}, "unknown flag --ap-id; did you mean --app-id?"},
		{"unknown flag, nothing near", []string{"--zzzzzzzzzz", "a"}, "unknown flag --zzzzzzzzzz; run daprd --help for the flags"},
		{"one dash", []string{"-app-id", "a"}, "unknown flag -app-id; did you mean --app-id?"},
		{"one letter", []string{"-z"}, "unknown flag -z; run daprd --help for the flags"},
		{"not a number", []string{"--app-health-threshold", "many"}, `--app-health-threshold "many": must be a whole number`},
		{"not a bool", []string{"--enable-metrics=perhaps"}, `--enable-metrics "perhaps": must be true or false`},
		{"bad port", []string{"--app-id", "a", "--dapr-http-port", "99999"}, `--dapr-http-port "99999": must be a port number from 1 to 65535`},
		{"same port twice", []string{"--app-id", "a", "--app-port", "3500"}, "--app-port and --dapr-http-port are both 3500: give each its own port"},
		{"bad protocol", []string{"--app-id", "a", "--app-protocol", "soap"}, `--app-protocol "soap" is not known: use grpc, grpcs, http, https, h2c`},
		{"bad level", []string{"--app-id", "a", "--log-level", "loud"}, `--log-level: log level "loud" is not one of debug, info, warn, error, fatal`},
		{"bad size", []string{"--app-id", "a", "--max-body-size", "4MB"}, `--max-body-size "4MB": "4MB" is not a size: write a number of bytes, or one with a suffix such as 4Ki, 16Mi or 1Gi`},
		{"probe timeout", []string{"--app-id", "a", "--app-port", "1", "--enable-app-health-check", "--app-health-probe-timeout", "5000"}, "--app-health-probe-timeout 5000 ms must be above zero and below the interval of 5000 ms"},
		{"mtls without an authority", []string{"--app-id", "a", "--enable-mtls"}, "--enable-mtls needs --sentry-address: the address of the certificate authority, such as localhost:50001"},
		{"mtls without roots", []string{"--app-id", "a", "--enable-mtls", "--sentry-address", "localhost:50001"}, "--enable-mtls needs the environment variable DAPR_TRUST_ANCHORS: the PEM certificates of the roots to trust"},
		{"kubernetes without an operator", []string{"--app-id", "a", "--mode", "kubernetes"}, "--mode kubernetes needs --control-plane-address: the address of the operator, such as dapr-api.dapr-system.svc.cluster.local:443"},
		{"argument", []string{"--app-id", "a", "run"}, `unexpected argument "run": daprd takes flags only, such as --app-id run`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseOptions(c.args, env())
			require.EqualError(t, err, c.err)
			var usage *UsageError
			require.ErrorAs(t, err, &usage)
		})
	}
}
