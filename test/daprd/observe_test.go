package daprd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
)

// metrics reads the series whose names begin with dapr_.
func (s *sidecar) metrics() string {
	s.t.Helper()
	a, err := request(s.client, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", s.MetricsPort), "")
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, a.status)
	return a.body
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	vault := filepath.Join(t.TempDir(), "vault.json")
	require.NoError(t, os.WriteFile(vault, []byte(`{"a":"b"}`), 0o600))
	callee := start(t, "callee", given{home: home, args: []string{"--app-port", httpApp(t, echo)}})
	s := start(t, "orders", given{
		home: home, resources: store("mem") + component("vault", "secretstores.local.file", "secretsFile="+vault),
		config: configuration("  metrics:\n    recordErrorCodes: true\n"),
	})
	s.call(http.MethodPost, "/v1.0/state/mem", `[{"key":"k","value":1}]`)
	s.call(http.MethodGet, "/v1.0/state/mem/k", "")
	s.call(http.MethodGet, "/v1.0/state/none/k", "")
	s.call(http.MethodGet, "/v1.0/secrets/vault/a", "")
	s.call(http.MethodGet, "/v1.0/invoke/callee/method/x", "")
	_, err := s.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "k"})
	require.NoError(t, err)

	got := s.metrics()
	for _, series := range []string{
		`dapr_http_server_request_count{app_id="orders",method="GET",path="/v1.0/state/mem",status="200"} 1`,
		`dapr_http_server_response_count{app_id="orders",method="POST",path="/v1.0/state/mem",status="204"} 1`,
		`dapr_http_server_latency_count{app_id="orders",method="GET",path="/v1.0/state/mem",status="200"} 1`,
		`dapr_grpc_io_server_completed_rpcs{app_id="orders",grpc_server_method="/dapr.proto.runtime.v1.Dapr/GetState",grpc_server_status="OK"} 1`,
		`dapr_component_state_count{app_id="orders",component="mem",namespace="",operation="get",success="true"} 2`,
		`dapr_component_state_count{app_id="orders",component="mem",namespace="",operation="set",success="true"} 1`,
		`dapr_component_secret_count{app_id="orders",component="vault",namespace="",operation="get",success="true"} 1`,
		`dapr_runtime_service_invocation_req_sent_total{app_id="orders",dst_app_id="callee",type="unary"} 1`,
		`dapr_runtime_service_invocation_res_recv_total{app_id="orders",src_app_id="callee",status="200",type="unary"} 1`,
		`dapr_error_code_total{app_id="orders",category="state",error_code="ERR_STATE_STORE_NOT_FOUND"} 1`,
	} {
		require.Contains(t, got, series+"\n")
	}
	for _, name := range []string{
		"dapr_http_server_request_bytes_bucket", "dapr_http_server_response_bytes_sum", "dapr_grpc_io_server_server_latency_bucket",
		"dapr_component_state_latencies_bucket", "dapr_component_secret_latencies_bucket",
		"dapr_runtime_service_invocation_res_recv_latency_ms_bucket", "go_goroutines", "process_resident_memory_bytes",
	} {
		require.Regexp(t, `(?m)^`+name+`[ {]`, got)
	}
	require.Contains(t, callee.metrics(), `dapr_runtime_service_invocation_req_recv_total{app_id="callee",src_app_id="orders"} 1`)
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "dapr_") {
			require.Contains(t, line, `app_id="orders"`)
		}
	}

	quiet := start(t, "quiet", given{args: []string{"--enable-metrics=false"}})
	require.Zero(t, quiet.MetricsPort)
}

// logLine is a line of the log as JSON.
type logLine map[string]any

// json are the lines of a log that was written as JSON; other lines fail.
func (p *process) json() []logLine {
	p.t.Helper()
	var lines []logLine
	for text := range strings.Lines(p.log.String()) {
		var line logLine
		require.NoError(p.t, json.Unmarshal([]byte(text), &line), text)
		lines = append(lines, line)
	}
	return lines
}

func TestLogsAsTextAndAsJSON(t *testing.T) {
	t.Parallel()
	s := start(t, "orders", given{})
	s.waitLog("dapr initialized")
	line := regexp.MustCompile(`^time="\d{4}-\d\d-\d\dT\S+" level=info msg="app id: orders" app_id=orders instance=\S+ scope=dapr\.runtime type=log ver=\S+$`)
	require.Regexp(t, line, s.lines("app id: ")[0])

	s = start(t, "orders", given{args: []string{"--log-as-json"}})
	s.waitLog("dapr initialized")
	for _, l := range s.json() {
		for _, key := range []string{"app_id", "instance", "level", "msg", "scope", "time", "type", "ver"} {
			require.Contains(t, l, key)
		}
		require.Equal(t, "orders", l["app_id"])
		require.Equal(t, "log", l["type"])
	}

	s = start(t, "quiet", given{args: []string{"--log-level", "error"}})
	require.Empty(t, s.log.String())
}

func TestAPILogging(t *testing.T) {
	t.Parallel()
	calls := func(s *sidecar) {
		s.call(http.MethodGet, "/v1.0/state/mem/order-7", "", "User-Agent: my-app/1")
		_, err := s.GetState(s.t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "order-7"})
		require.NoError(s.t, err)
		_, _ = s.GetState(s.t.Context(), &runtimev1.GetStateRequest{StoreName: "none", Key: "order-7"})
	}
	logged := func(s *sidecar, msg string) []logLine {
		return slices.DeleteFunc(s.json(), func(l logLine) bool { return l["msg"] != msg })
	}
	start := func(config string, args ...string) *sidecar {
		s := start(t, "a", given{resources: store("mem"), config: config, args: append(args, "--log-as-json")})
		calls(s)
		s.stop() // a line is written after its answer
		return s
	}
	in := func(options string) string { return configuration("  logging:\n    apiLogging:\n" + options) }

	s := start("", "--enable-api-logging=true")
	got := logged(s, "HTTP API Called")
	last := got[len(got)-1]
	require.Greater(t, len(got), 1, "health checks are logged")
	require.Equal(t, "dapr.runtime.http-info", last["scope"])
	require.Equal(t, "info", last["level"])
	require.Equal(t, "GET /v1.0/state/mem/order-7", last["method"])
	require.EqualValues(t, 204, last["code"])
	require.EqualValues(t, 0, last["size"])
	require.Equal(t, "my-app/1", last["useragent"])
	require.Contains(t, last, "duration")
	got = logged(s, "gRPC API Called")
	require.Len(t, got, 2)
	require.Equal(t, "dapr.runtime.grpc.api-info", got[0]["scope"])
	require.Equal(t, "/dapr.proto.runtime.v1.Dapr/GetState", got[0]["method"])
	require.Equal(t, "OK", got[0]["code"])
	require.Equal(t, "InvalidArgument", got[1]["code"])

	s = start(in("      enabled: true\n      obfuscateURLs: true\n      omitHealthChecks: true\n"))
	got = logged(s, "HTTP API Called")
	require.Len(t, got, 1)
	require.NotContains(t, got[0]["method"], "order-7")
	require.Equal(t, "GetState", got[0]["method"])

	require.Empty(t, logged(start(""), "HTTP API Called"))
	require.Empty(t, logged(start(in("      enabled: true\n"), "--enable-api-logging=false"), "HTTP API Called"), "the flag wins")
}

// A secret must not appear in the log, whatever happens with it and however
// much is logged.
func TestSecretsAreNeverLogged(t *testing.T) {
	t.Parallel()
	const secret, key = "hunter2-very-secret", "c0ffee00c0ffee00c0ffee00c0ffee00"
	vault := filepath.Join(t.TempDir(), "vault.json")
	port := freePort(t)
	require.NoError(t, os.WriteFile(vault, []byte(`{
		"password": "`+secret+`", "key": "`+key+`", "broken-key": "`+secret+`",
		"postgres": "postgres://user:`+secret+`@127.0.0.1:`+port+`/db", "postgres-broken": "postgres://user:`+secret+`@127.0.0.1:no-port/db",
		"mysql": "user:`+secret+`@tcp(127.0.0.1:`+port+`)/db", "mysql-broken": "user:`+secret+`@tcp(127.0.0.1:`+port+`",
		"redis": "redis://user:`+secret+`@127.0.0.1:`+port+`"
	}`), 0o600))
	// with is a component with one metadata out of the vault.
	with := func(name, typ, metadata, item string, more ...string) string {
		c := component(name, typ, more...)
		if len(more) == 0 {
			c += "  metadata:\n"
		}
		return c + "  - name: " + metadata + "\n    secretKeyRef: {name: " + item + "}\nauth:\n  secretStore: vault\n"
	}
	hanging := httpApp(t, echo) // a server of another kind
	down := []string{
		with("redis-down", "state.redis", "redisPassword", "password", "redisHost=127.0.0.1:"+port),
		with("redis-other", "state.redis", "redisPassword", "password", "redisHost=127.0.0.1:"+hanging),
		with("redis-host", "state.redis", "redisHost", "redis"),
		with("redis-number", "state.redis", "redisDB", "password", "redisHost=127.0.0.1:"+port),
		with("pg-down", "state.postgresql", "connectionString", "postgres"),
		with("pg-broken", "state.postgresql", "connectionString", "postgres-broken"),
		with("pg-number", "state.postgresql", "timeout", "password", "connectionString=host=127.0.0.1 port="+port),
		with("my-down", "state.mysql", "connectionString", "mysql"),
		with("my-broken", "state.mysql", "connectionString", "mysql-broken"),
		with("sqlite-number", "state.sqlite", "busyTimeout", "password", "connectionString=:memory:"),
		with("cipher-broken", "state.in-memory", "primaryEncryptionKey", "broken-key"),
	}
	resources := component("vault", "secretstores.local.file", "secretsFile="+vault) +
		with("good", "state.in-memory", "primaryEncryptionKey", "key") + strings.Join(down, "") + `---
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata:
  name: outside
spec:
  baseUrl: http://127.0.0.1:` + port + `
  headers:
  - name: Authorization
    secretKeyRef: {name: password}
auth:
  secretStore: vault
`
	s := begin(t, "a", given{
		resources: resources, env: []string{"DAPR_API_TOKEN=" + secret, "APP_API_TOKEN=" + secret},
		args: []string{"--log-level", "debug", "--enable-api-logging", "--app-port", httpApp(t, echo)},
	})
	eventually(t, "not every component has failed", func() bool {
		a, err := s.try(http.MethodGet, "/v1.0/healthz", "")
		return err == nil && strings.Count(a.body, "component ") >= len(down) && !strings.Contains(a.body, ": starting")
	})
	token := "dapr-api-token: " + secret
	answers := []answer{
		s.call(http.MethodGet, "/v1.0/healthz", ""),
		s.call(http.MethodGet, "/v1.0/metadata", "", token),
		s.call(http.MethodPost, "/v1.0/state/good", `[{"key":"k","value":1}]`, token),
		s.call(http.MethodGet, "/v1.0/invoke/outside/method/x", "", token),
		s.call(http.MethodGet, "/v1.0/invoke/a/method/x", "", token),
		s.call(http.MethodGet, "/v1.0/secrets/vault/unknown", "", token),
		s.call(http.MethodGet, "/v1.0/state/redis-down/k", "", token),
		s.call(http.MethodGet, "/v1.0/state/pg-broken/k", "", token),
	}
	for _, a := range answers {
		require.NotContains(t, a.body, secret)
		require.NotContains(t, a.body, key)
	}
	require.Contains(t, s.call(http.MethodGet, "/v1.0/secrets/vault/password", "", token).body, secret, "the app may read it")
	require.Contains(t, s.metrics(), `component="good"`)
	require.NotContains(t, s.metrics(), secret)
	s.stop()
	require.NotContains(t, s.log.String(), secret)
	require.NotContains(t, s.log.String(), key)
}
