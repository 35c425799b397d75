package daprd

import (
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// result is the outcome of a call that runs beside the test.
type result struct {
	answer
	err error
}

// beside makes a call that the test does not wait for.
func beside(s *sidecar, path string) <-chan result {
	done := make(chan result, 1)
	go func() {
		a, err := s.try(http.MethodGet, path, "")
		done <- result{a, err}
	}()
	return done
}

func TestARunningRequestCompletesOnASignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		g, home := newGate(t), t.TempDir()
		callee := start(t, "callee", given{home: home, args: []string{"--app-port", httpApp(t, g.ServeHTTP)}})
		caller := start(t, "caller", given{home: home})
		running := []<-chan result{beside(callee, "/v1.0/invoke/callee/method/slow"), beside(caller, "/v1.0/invoke/callee/method/slow")}
		eventually(t, "the calls do not reach the app", func() bool { return g.inside.Load() == 2 })

		callee.signal(sig)
		callee.waitLog("Dapr is shutting down")
		eventually(t, "it still takes new calls", func() bool { return !open(callee.HTTPPort) })
		require.True(t, callee.running(), "it waits for the calls")
		g.open()
		for _, r := range running {
			got := <-r
			require.NoError(t, got.err)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.Equal(t, "through the gate", got.body)
		}
		require.Zero(t, callee.wait())
		callee.leftNothing()
	}
}

func TestARunningGRPCStreamCompletesOnASignal(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{args: []string{"--app-protocol", "grpc", "--app-port", grpcApp(t, &callbacks{})}})
	stream, err := testgrpc.NewTestServiceClient(s.conn).FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "a"))
	require.NoError(t, err)
	talk := func() {
		t.Helper()
		require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{}))
		_, err := stream.Recv()
		require.NoError(t, err)
	}
	talk()
	s.signal(syscall.SIGTERM)
	s.waitLog("Dapr is shutting down")
	talk()
	require.NoError(t, stream.CloseSend())
	require.Zero(t, s.wait())
	s.leftNothing()
}

func TestTheGraceIsBounded(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, "a", given{args: []string{"--dapr-graceful-shutdown-seconds", "1", "--app-port", httpApp(t, g.ServeHTTP)}})
	running := beside(s, "/v1.0/invoke/a/method/slow")
	eventually(t, "the call does not reach the app", func() bool { return g.inside.Load() == 1 })
	began := time.Now()
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.wait())
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Less(t, time.Since(began), 3*time.Second)
	require.Error(t, (<-running).err)
	require.NotEmpty(t, s.lines("cut off"))
	s.leftNothing()
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, "a", given{args: []string{"--dapr-graceful-shutdown-seconds", "60", "--app-port", httpApp(t, g.ServeHTTP)}})
	running := beside(s, "/v1.0/invoke/a/method/slow")
	eventually(t, "the call does not reach the app", func() bool { return g.inside.Load() == 1 })
	s.signal(syscall.SIGTERM)
	s.waitLog("Dapr is shutting down")
	s.signal(syscall.SIGTERM)
	require.Equal(t, 1, s.wait())
	require.Error(t, (<-running).err)
	s.leftNothing()
}

func TestForcedShutdownThroughTheAPI(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, "a", given{args: []string{"--dapr-graceful-shutdown-seconds", "60", "--app-port", httpApp(t, g.ServeHTTP)}})
	running := beside(s, "/v1.0/invoke/a/method/slow")
	eventually(t, "the call does not reach the app", func() bool { return g.inside.Load() == 1 })
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/shutdown", "", "dapr-force-shutdown: true").status)
	require.Equal(t, 1, s.wait())
	require.Error(t, (<-running).err)
	s.leftNothing()
}

func TestBlockShutdownKeepsServing(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem"), args: []string{"--dapr-block-shutdown-duration", "1s"}})
	began := time.Now()
	s.signal(syscall.SIGTERM)
	s.waitLog("shutdown is blocked for 1s")
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/mem", `[{"key":"k","value":1}]`).status)
	got, err := s.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "1", string(got.GetData()))
	require.Zero(t, s.wait())
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	s.leftNothing()
}

func TestBlockShutdownEndsWithTheAppsHealth(t *testing.T) {
	t.Parallel()
	app := &callbacks{}
	s := start(t, "a", given{args: []string{
		"--dapr-block-shutdown-duration", "1h", "--app-protocol", "grpc", "--app-port", grpcApp(t, app),
		"--enable-app-health-check", "--app-health-probe-interval", "1", "--app-health-threshold", "1",
	}})
	s.waitFor("/v1.0/healthz")
	s.signal(syscall.SIGTERM)
	s.waitLog("shutdown is blocked for 1h0m0s")
	require.True(t, s.running())
	app.sick.Store(true)
	require.Zero(t, s.wait())
	s.leftNothing()
}

// A signal before all is open must not leave the process behind.
func TestASignalWhileStarting(t *testing.T) {
	t.Parallel()
	resources := component("down", "state.redis", "redisHost=127.0.0.1:"+freePort(t)) + component("gone", "state.postgresql", "connectionString=postgres://u@192.0.2.1:5432/x")
	for n := range 5 {
		s := launch(t, "a", given{resources: resources, args: []string{"--app-port", freePort(t)}})
		s.waitLog("app id: a")
		time.Sleep(time.Duration(n) * 20 * time.Millisecond) // at different moments of the start
		began := time.Now()
		s.signal(syscall.SIGTERM)
		require.Zero(t, s.wait(), fmt.Sprint("signal ", n))
		require.Less(t, time.Since(began), 7*time.Second)
		s.leftNothing()
	}
}
