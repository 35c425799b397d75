package standalone

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSidecarsArguments(t *testing.T) {
	all := RunOptions{
		AppID: "shop", AppPort: 3000, AppProtocol: "https", AppChannelAddress: "10.0.0.1", AppMaxConcurrency: 2, AppSSL: true,
		EnableAppHealthCheck: true, AppHealthCheckPath: "/up", AppHealthProbeInterval: 1, AppHealthProbeTimeout: 20, AppHealthThreshold: 3,
		EnableProfiling: true, ListenAddresses: "127.0.0.1", UnixDomainSocket: "/s",
		Config: "c.yaml", ResourcesPaths: []string{"a", "b"}, PlacementHostAddress: "p:1", SchedulerHostAddress: "s:1",
		MaxBodySize: "4Mi", ReadBufferSize: "4Ki", LogLevel: "debug", LogAsJSON: true, EnableAPILogging: true,
	}
	tests := map[string]struct {
		options RunOptions
		ports   ports
		want    string
	}{
		"all, in the order tools rely on": {
			all,
			ports{http: 1, grpc: 2, internal: 3, metrics: 4, profile: 5},
			"--config c.yaml --app-protocol https --dapr-listen-addresses 127.0.0.1 --enable-profiling --log-level debug " +
				"--app-max-concurrency 2 --placement-host-address p:1 --resources-path a --resources-path b --app-ssl " +
				"--max-body-size 4Mi --read-buffer-size 4Ki --enable-app-health-check --app-health-check-path /up " +
				"--app-health-probe-interval 1 --app-health-probe-timeout 20 --app-health-threshold 3 --enable-api-logging " +
				"--scheduler-host-address s:1 --app-id shop --app-channel-address 10.0.0.1 --app-port 3000 --dapr-http-port 1 " +
				"--dapr-grpc-port 2 --profile-port 5 --metrics-port 4 --unix-domain-socket /s --dapr-internal-grpc-port 3 --log-as-json",
		},
		"what is not set is left out": {
			RunOptions{AppID: "shop", AppProtocol: "http", LogLevel: "info", AppChannelAddress: "127.0.0.1", AppMaxConcurrency: -1},
			ports{http: 1, grpc: 2, internal: 3, metrics: 4},
			"--app-protocol http --log-level info --app-id shop --dapr-http-port 1 --dapr-grpc-port 2 --metrics-port 4 --dapr-internal-grpc-port 3",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, strings.Join(tt.options.sidecarArgs(tt.ports), " "))
		})
	}
}

func TestServicesGetTheirDefaultPort(t *testing.T) {
	require.Equal(t, 50005, localPort("linux", 50005, 6050))
	require.Equal(t, 50005, localPort("darwin", 50005, 6050))
	require.Equal(t, 6050, localPort("windows", 50005, 6050))
	for given, want := range map[string]string{
		"":                    "",
		"localhost":           "localhost:7",
		"localhost:1":         "localhost:1",
		"a, b:1 ,":            "a:7,b:1",
		"[::1]":               "[::1]:7",
		"[::1]:1,192.168.0.1": "[::1]:1,192.168.0.1:7",
	} {
		require.Equal(t, want, withPort(given, 7), given)
	}
}

func TestTheAppsVariables(t *testing.T) {
	tests := map[string]struct {
		options RunOptions
		ports   ports
		want    []string
	}{
		"ports": {
			RunOptions{AppID: "shop", AppPort: 3000, AppProtocol: "http", AppChannelAddress: "127.0.0.1", Env: []string{"A=1"}},
			ports{http: 1, grpc: 2, metrics: 4},
			[]string{
				"A=1", "APP_ID=shop", "APP_PROTOCOL=http", "DAPR_METRICS_PORT=4", "APP_CHANNEL_ADDRESS=127.0.0.1",
				"APP_PORT=3000", "DAPR_HTTP_PORT=1", "DAPR_GRPC_PORT=2", "PYTHONUNBUFFERED=1",
			},
		},
		"sockets, no app port, Python told otherwise": {
			RunOptions{AppID: "shop", AppProtocol: "grpc", UnixDomainSocket: "/s", Env: []string{"PYTHONUNBUFFERED=0"}},
			ports{metrics: 4},
			[]string{"PYTHONUNBUFFERED=0", "APP_ID=shop", "APP_PROTOCOL=grpc", "DAPR_METRICS_PORT=4"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.options.appEnv(tt.ports))
		})
	}
}

func TestWhereTheAPIIsFound(t *testing.T) {
	for addresses, want := range map[string]string{
		"":                    "127.0.0.1:7",
		"0.0.0.0":             "127.0.0.1:7",
		"localhost":           "127.0.0.1:7",
		"[::1],127.0.0.1":     "[::1]:7",
		"192.168.0.1,0.0.0.0": "192.168.0.1:7",
	} {
		network, address := (&RunOptions{ListenAddresses: addresses}).apiAddress(ports{http: 7})
		require.Equal(t, "tcp", network)
		require.Equal(t, want, address, addresses)
	}
	network, address := (&RunOptions{UnixDomainSocket: "dir", AppID: "x"}).apiAddress(ports{})
	require.Equal(t, "unix", network)
	require.Equal(t, httpSocket("dir", "x"), address)
}

func TestMadeUpIDsAreNotTaken(t *testing.T) {
	taken := make(map[string]bool)
	for range 3000 { // more than two words make
		id := randomAppID(func(id string) bool { return taken[id] })
		require.False(t, taken[id])
		require.Regexp(t, `^[a-z]+(-[a-z]+)+$`, id)
		taken[id] = true
	}
}
