package daprd

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestTheAppTokenReachesTheAppAndTheAPITokenDoesNot(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	g := &callbacks{}
	env := []string{"APP_API_TOKEN=for-the-app", "DAPR_API_TOKEN=for-the-api"}
	httpSide := start(t, "http-app", given{home: home, env: env, args: []string{"--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Values("dapr-api-token"))
	})}})
	grpcSide := start(t, "grpc-app", given{home: home, env: env, args: []string{"--app-protocol", "grpc", "--app-port", grpcApp(t, g)}})
	caller := start(t, "caller", given{home: home, env: []string{"DAPR_API_TOKEN=for-the-api"}})

	for _, from := range []*sidecar{httpSide, caller} {
		a := from.call(http.MethodGet, "/v1.0/invoke/http-app/method/x", "", "dapr-api-token: for-the-api")
		require.Equal(t, "[for-the-app]", a.body)
	}
	for _, from := range []*sidecar{grpcSide, caller} {
		a := from.call(http.MethodGet, "/v1.0/invoke/grpc-app/method/x", "", "dapr-api-token: for-the-api")
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.Equal(t, []string{"for-the-app"}, g.seen.Load().Get("dapr-api-token"))

		ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "grpc-app", "dapr-api-token", "for-the-api")
		_, err := testgrpc.NewTestServiceClient(from.conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
		require.NoError(t, err)
		require.Equal(t, []string{"for-the-app"}, g.seen.Load().Get("dapr-api-token"))
	}
}

func TestAppHealthChecksTurnCallsAwayAndHeal(t *testing.T) {
	t.Parallel()
	checks := []string{"--enable-app-health-check", "--app-health-check-path", "/well", "--app-health-probe-interval", "1", "--app-health-probe-timeout", "900", "--app-health-threshold", "1"}
	var sick atomic.Bool
	httpPort := httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/well" && sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		echo(w, r)
	})
	g := &callbacks{}
	for _, c := range []struct {
		protocol, port string
		set            func(bool)
	}{
		{"http", httpPort, sick.Store},
		{"grpc", grpcApp(t, g), g.sick.Store},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			t.Parallel()
			s := start(t, "a", given{args: append([]string{"--app-protocol", c.protocol, "--app-port", c.port}, checks...)})
			s.waitFor("/v1.0/healthz")
			get := func() answer { return s.call(http.MethodGet, "/v1.0/invoke/a/method/x", "") }
			require.Equal(t, http.StatusOK, get().status)

			c.set(true)
			eventually(t, "the app's illness is not noticed", func() bool { return get().status != http.StatusOK })
			a := get()
			require.Equal(t, http.StatusInternalServerError, a.status)
			require.Contains(t, a.body, "ERR_DIRECT_INVOKE")
			require.Contains(t, a.body, "app is not in a healthy state")
			a = s.call(http.MethodGet, "/v1.0/healthz", "")
			require.Contains(t, a.body, "app: unhealthy")
			require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/healthz/outbound", "").status, "the app can call out")

			c.set(false)
			eventually(t, "the app does not heal", func() bool { return get().status == http.StatusOK })
			s.waitFor("/v1.0/healthz")
		})
	}
}

func TestAppMaxConcurrency(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	var most atomic.Int32
	s := start(t, "a", given{args: []string{"--app-max-concurrency", "2", "--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		for n := g.inside.Load() + 1; ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		g.ServeHTTP(w, r)
	})}})
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			a, err := s.try(http.MethodGet, "/v1.0/invoke/a/method/x", "")
			if err != nil || a.body != "through the gate" {
				t.Error(a, err)
			}
		})
	}
	eventually(t, "no two calls are in the app", func() bool { return g.inside.Load() == 2 })
	g.open()
	calls.Wait()
	require.Equal(t, int32(2), most.Load())
}

func TestAnAppThatTakesNoCallsAndOneThatIsNotThere(t *testing.T) {
	t.Parallel()
	home, port := t.TempDir(), freePort(t)
	mute := start(t, "mute", given{home: home})
	absent := start(t, "absent", given{home: home, args: []string{"--app-port", port}})

	a := mute.call(http.MethodGet, "/v1.0/invoke/mute/method/x", "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.Contains(t, a.body, "--app-port")
	for _, from := range []*sidecar{absent, mute} {
		a = from.call(http.MethodGet, "/v1.0/invoke/absent/method/x", "")
		require.Equal(t, http.StatusInternalServerError, a.status)
		require.Contains(t, a.body, "the app is not listening on 127.0.0.1:"+port)
	}
	a = absent.call(http.MethodGet, "/v1.0/healthz", "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.Contains(t, a.body, "app: not listening on port "+port+" yet")
	absent.waitLog("waiting on port " + port)
	require.Empty(t, absent.lines("dapr initialized"))

	serveOn(t, "http", port)
	absent.waitFor("/v1.0/healthz")
	absent.waitLog("application discovered on port " + port)
	absent.waitLog("dapr initialized. Status: Running.")
	require.Equal(t, "GET /x ", mute.call(http.MethodGet, "/v1.0/invoke/absent/method/x", "").body)
}

// An app that was restarted on its port works again, at once and with whatever
// connections the sidecar had.
func TestARestartedAppWorksAgain(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, protocol := range []string{"http", "h2c", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			port := freePort(t)
			callee := begin(t, "callee-"+protocol, given{home: home, args: []string{"--app-protocol", protocol, "--app-port", port}})
			caller := start(t, "caller-"+protocol, given{home: home})
			for range 3 {
				stop := serveOn(t, protocol, port)
				callee.waitFor("/v1.0/healthz")
				for _, from := range []*sidecar{callee, caller} {
					a := from.call(http.MethodGet, "/v1.0/invoke/callee-"+protocol+"/method/x", "")
					require.Equal(t, http.StatusOK, a.status, a.body)
				}
				stop()
				a := caller.call(http.MethodGet, "/v1.0/invoke/callee-"+protocol+"/method/x", "")
				require.Equal(t, http.StatusInternalServerError, a.status, a.body)
			}
		})
	}
}

func TestAGRPCAppsStatusIsAnAnswer(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	callee := start(t, "callee", given{home: home, args: []string{"--app-protocol", "grpc", "--app-port", grpcApp(t, &callbacks{})}})
	for _, s := range []*sidecar{callee, start(t, "caller", given{home: home})} {
		a := s.call(http.MethodPost, "/v1.0/invoke/callee/method/fail", "x")
		require.Equal(t, http.StatusConflict, a.status)
		require.Contains(t, a.body, "there is one already")
		_, err := grpcFace{s: s}.invoke("callee", invocation{verb: "POST", method: "fail"})
		var r *refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, codes.AlreadyExists, r.code)
		require.Equal(t, "there is one already", r.message)

		ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "callee")
		_, err = testgrpc.NewTestServiceClient(s.conn).UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: int32(codes.DataLoss), Message: "lost " + strconv.Itoa(7)}})
		require.Equal(t, codes.DataLoss, status.Code(err))
		require.Equal(t, "lost 7", status.Convert(err).Message())
	}
}
