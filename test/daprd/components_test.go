package daprd

import (
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/test/servers"
)

func TestAComponentWhoseServerComesLater(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := begin(t, "a", given{resources: store("mem") + component("late", "state.redis", "redisHost=127.0.0.1:"+port)})
	eventually(t, "the API does not answer", func() bool {
		a, err := s.try(http.MethodPost, "/v1.0/state/mem", `[{"key":"k","value":1}]`)
		return err == nil && a.status == http.StatusNoContent
	})
	for path, code := range map[string]string{"/v1.0/healthz": "ERR_HEALTH_NOT_READY", "/v1.0/healthz/outbound": "ERR_OUTBOUND_HEALTH_NOT_READY"} {
		a := s.call(http.MethodGet, path, "")
		require.Equal(t, http.StatusInternalServerError, a.status)
		require.Contains(t, a.body, code)
		require.Contains(t, a.body, "component late: ")
		require.Contains(t, a.body, "127.0.0.1:"+port+": connect: connection refused")
		require.NotContains(t, a.body, "component mem")
	}
	a := s.call(http.MethodGet, "/v1.0/state/late/k", "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.Contains(t, a.body, "state store late is not ready: ")
	require.Contains(t, a.body, "connection refused")
	require.NotContains(t, s.call(http.MethodGet, "/v1.0/metadata", "").body, `"late"`)
	require.Empty(t, s.lines("dapr initialized"))

	redisOn(t, port)
	s.waitFor("/v1.0/healthz")
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/late", `[{"key":"k","value":"v"}]`).status)
	require.Equal(t, `"v"`, s.call(http.MethodGet, "/v1.0/state/late/k", "").body)
	require.Len(t, s.lines("Component loaded: late (state.redis/v1)"), 1)
	s.waitLog("dapr initialized. Status: Running.")
}

// redisOn starts Redis on a port that was known before.
func redisOn(t *testing.T, port string) {
	t.Helper()
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "")
	endWithParent(cmd)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// A server that takes connections and never answers must not hold up the API.
func TestAComponentWhoseServerHangs(t *testing.T) {
	t.Parallel()
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer hanging.Close()
	slow := component("slow", "state.redis", "redisHost="+hanging.Addr().String())
	s := begin(t, "a", given{resources: store("mem") + strings.Replace(slow, "spec:\n", "spec:\n  initTimeout: 300ms\n", 1)})
	eventually(t, "health does not tell why", func() bool {
		a, err := s.try(http.MethodGet, "/v1.0/healthz", "")
		return err == nil && strings.Contains(a.body, "component slow: ") && !strings.Contains(a.body, "starting")
	})
	require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/state/mem/k", "").status)
}

func TestStrictModeEndsWithTheReason(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := launch(t, "a", given{resources: component("down", "state.redis", "redisHost=127.0.0.1:"+port), args: []string{"--strict-components"}})
	require.Equal(t, 1, s.wait())
	fatal := s.lines("level=fatal")
	require.Len(t, fatal, 1)
	require.Contains(t, fatal[0], "component down (state.redis/v1) cannot be opened")
	require.Contains(t, fatal[0], "connection refused")
	require.Contains(t, fatal[0], "spec.ignoreErrors")
	s.leftNothing()
}

func TestIgnoreErrors(t *testing.T) {
	t.Parallel()
	ignore := func(yaml string) string { return strings.Replace(yaml, "spec:\n", "spec:\n  ignoreErrors: true\n", 1) }
	s := begin(t, "a", given{
		resources: store("mem") + ignore(component("down", "state.redis", "redisHost=127.0.0.1:"+freePort(t))) + ignore(component("odd", "state.no-such-thing")),
		args:      []string{"--strict-components"},
	})
	s.waitFor("/v1.0/healthz")
	require.Len(t, s.lines("no driver for type state.no-such-thing"), 1)
	s.waitLog("Component down (state.redis/v1) is not ready")
	a := s.call(http.MethodGet, "/v1.0/state/down/k", "")
	require.Contains(t, a.body, "connection refused")
}

func TestComponentsOfBlocksToComeAreLeftOut(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem") + component("queue", "pubsub.redis", "redisHost=localhost:6379")})
	require.Len(t, s.lines("component queue (pubsub.redis) is left out"), 1)
}

func TestScopesAndDeniedComponents(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{
		resources: store("mine") + "scopes: [a, b]\n" + store("theirs") + "scopes: [b]\n" + component("denied", "state.sqlite", "connectionString=:memory:"),
		config:    configuration("  components:\n    deny: [state.sqlite]\n"),
	})
	a := s.call(http.MethodGet, "/v1.0/metadata", "")
	require.Contains(t, a.body, `"components":[{"name":"mine",`)
	require.NotContains(t, a.body, "theirs")
	require.NotContains(t, a.body, "denied")
	require.Len(t, s.lines("component denied is left out"), 1)
}

func TestSecretsEnvironmentAndTemplatesInComponents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	resources := component("vault", "secretstores.local.env") +
		component("one", "state.sqlite", "connectionString="+dir+"/{appID}.db") + "  - name: keyPrefix\n    envRef: PREFIX\n" +
		component("two", "state.sqlite") + "  metadata:\n  - name: connectionString\n    secretKeyRef: {name: DATABASE}\nauth:\n  secretStore: vault\n"
	s := start(t, "orders", given{resources: resources, env: []string{"PREFIX=from-env", "DATABASE=" + dir + "/secret.db"}})
	for _, name := range []string{"one", "two"} {
		require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/"+name, `[{"key":"k","value":1}]`).status)
	}
	require.Equal(t, []string{"from-env||k"}, column(t, dir+"/orders.db", "SELECT key FROM state"))
	require.Equal(t, []string{"orders||k"}, column(t, dir+"/secret.db", "SELECT key FROM state"))
}

// The routes of the protocol's first version name no store.
func TestLegacyStateRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, resources string
		used            string // the store that is meant
		status          int    // when none is
		err             []string
	}{
		{name: "the only store", resources: store("whatever"), used: "whatever"},
		{name: "statestore among several", resources: store("a") + store("statestore") + store("z"), used: "statestore"},
		{name: "none", resources: component("vault", "secretstores.local.env"), status: 500, err: []string{"ERR_STATE_STORE_NOT_CONFIGURED"}},
		{name: "several", resources: store("apples") + store("pears"), status: 400, err: []string{"ERR_STATE_STORE_NOT_FOUND", "apples, pears", "/v1.0/state/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "nodeapp", given{resources: c.resources})
			if c.used == "" {
				for _, a := range []answer{
					s.call(http.MethodPost, "/v1.0/state", `[{"key":"order","value":1}]`),
					s.call(http.MethodGet, "/v1.0/state/order", ""),
					s.call(http.MethodDelete, "/v1.0/state/order", ""),
				} {
					require.Equal(t, c.status, a.status)
					for _, text := range c.err {
						require.Contains(t, a.body, text)
					}
				}
				return
			}
			for n, method := range []string{http.MethodPost, http.MethodPut} {
				value := `{"orderId":` + string(rune('0'+n)) + `}`
				require.Equal(t, http.StatusNoContent, s.call(method, "/v1.0/state", `[{"key":"order","value":`+value+`}]`, "Content-Type: application/json").status)
				a := s.call(http.MethodGet, "/v1.0/state/order", "")
				require.Equal(t, http.StatusOK, a.status)
				require.JSONEq(t, value, a.body)
				require.NotEmpty(t, a.header.Get("ETag"))
				require.JSONEq(t, value, s.call(http.MethodGet, "/v1.0/state/"+c.used+"/order", "").body)
			}
			require.Equal(t, http.StatusNoContent, s.call(http.MethodDelete, "/v1.0/state/order", "").status)
			require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/state/order", "").status)
		})
	}
}

func TestStateOutlivesTheSidecarInSQLiteAndRedis(t *testing.T) {
	t.Parallel()
	resources := component("sqlite", "state.sqlite", "connectionString="+t.TempDir()+"/state.db") + component("redis", "state.redis", "redisHost="+servers.Redis(t))
	for n := range 2 {
		s := start(t, "a", given{resources: resources})
		for _, name := range []string{"sqlite", "redis"} {
			if n == 0 {
				require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/"+name, `[{"key":"k","value":"kept"}]`).status)
			} else {
				require.Equal(t, `"kept"`, s.call(http.MethodGet, "/v1.0/state/"+name+"/k", "").body)
			}
		}
		s.stop()
	}
}
