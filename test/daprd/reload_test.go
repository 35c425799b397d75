package daprd

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/test/servers"
)

// write puts a file into the folder of resources.
func (s *sidecar) write(name, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.resources, name), []byte(text), 0o600))
}

// reload asks for one and waits for it.
func (s *sidecar) reload() {
	s.t.Helper()
	before := len(s.lines("dapr initialized"))
	s.signal(syscall.SIGHUP)
	eventually(s.t, "no reload", func() bool { return len(s.lines("dapr initialized")) == before+1 })
}

func TestReloadReadsTheConfigurationAnew(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem"), config: configuration("  api:\n    denied:\n    - {name: state}\n")})
	require.Equal(t, http.StatusNotFound, s.call(http.MethodGet, "/v1.0/state/mem/k", "").status)
	_, err := s.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "k"})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	s.call(http.MethodPut, "/v1.0/metadata/kept", "over reloads")

	require.NoError(t, os.WriteFile(s.config, []byte(configuration("  features: []\n")), 0o600))
	s.reload()
	eventually(t, "the new configuration takes no effect", func() bool {
		a := s.call(http.MethodGet, "/v1.0/state/mem/k", "")
		_, err := s.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "mem", Key: "k"})
		return a.status == http.StatusNoContent && err == nil
	})
	require.Contains(t, s.call(http.MethodGet, "/v1.0/metadata", "").body, `"kept":"over reloads"`)
	i, found := registered(t, s.home, s.cmd.Process.Pid)
	require.True(t, found)
	require.Equal(t, s.HTTPPort, i.HTTPPort, "the ports stay")
}

func TestABrokenReloadKeepsTheOldConfiguration(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem"), config: configuration("  features: []\n")})
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/v1.0/state/mem", `[{"key":"k","value":"kept"}]`).status)
	require.NoError(t, os.WriteFile(s.config, []byte(configuration("  featurse: []\n")), 0o600))
	s.signal(syscall.SIGHUP)
	s.waitLog("reload refused")
	refused := s.lines("reload refused")[0]
	require.Contains(t, refused, "level=error")
	require.Contains(t, refused, s.config+":6")
	require.Contains(t, refused, "did you mean features?")
	require.Equal(t, `"kept"`, s.call(http.MethodGet, "/v1.0/state/mem/k", "").body, "nothing was opened anew")

	require.NoError(t, os.WriteFile(s.config, []byte(configuration("  features: []\n")), 0o600))
	s.reload()
}

// load calls a sidecar in every way until it is told to stop, and counts what
// fails.
type load struct {
	stop   atomic.Bool
	done   atomic.Int64
	failed sync.Map
	calls  sync.WaitGroup
}

func (l *load) run(name string, call func() error) {
	l.calls.Go(func() {
		for !l.stop.Load() {
			if err := call(); err != nil {
				l.failed.Store(fmt.Sprintf("%s: %v", name, err), true)
			}
			l.done.Add(1)
		}
	})
}

func (l *load) failures() []string {
	var list []string
	l.failed.Range(func(k, _ any) bool {
		list = append(list, k.(string))
		return true
	})
	return list
}

func TestReloadsUnderLoadLoseNoRequest(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	s := start(t, "callee", given{home: home, resources: component("db", "state.redis", "redisHost="+servers.Redis(t)), args: []string{"--app-port", httpApp(t, echo)}})
	s.waitFor("/v1.0/healthz")
	caller := start(t, "caller", given{home: home})
	expect := func(want int, a answer, err error) error {
		if err == nil && a.status != want {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	}
	var l load
	single := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for n := range 2 {
		key := fmt.Sprint("k", n)
		l.run("save", func() error {
			a, err := s.try(http.MethodPost, "/v1.0/state/db", `[{"key":"`+key+`","value":1}]`)
			return expect(204, a, err)
		})
		l.run("read on new connections", func() error {
			a, err := request(single, http.MethodGet, s.base+"/v1.0/state/db/"+key, "")
			if a.status == 200 {
				return err
			}
			return expect(204, a, err)
		})
		l.run("gRPC", func() error {
			_, err := s.SaveState(t.Context(), &runtimev1.SaveStateRequest{StoreName: "db"})
			return err
		})
		l.run("call from another sidecar", func() error {
			a, err := caller.try(http.MethodPost, "/v1.0/invoke/callee/method/x", "hello")
			return expect(200, a, err)
		})
	}
	for range 5 {
		before := l.done.Load()
		s.reload()
		eventually(t, "no calls go through", func() bool { return l.done.Load() > before+100 })
	}
	l.stop.Store(true)
	l.calls.Wait()
	require.Empty(t, l.failures(), "of %d calls", l.done.Load())
	t.Log(l.done.Load(), "calls")
}

// A reload neither waits for a call that takes long nor ends it.
func TestARunningRequestOutlastsAReload(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := start(t, "a", given{resources: store("mem"), args: []string{"--dapr-graceful-shutdown-seconds", "1", "--app-port", httpApp(t, g.ServeHTTP)}})
	s.waitFor("/v1.0/healthz")
	running := beside(s, "/v1.0/invoke/a/method/slow")
	eventually(t, "the call does not reach the app", func() bool { return g.inside.Load() == 1 })
	s.reload()
	require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/state/mem/k", "").status)
	s.waitLog("HTTP requests outlast")
	s.reload()
	g.open()
	got := <-running
	require.NoError(t, got.err)
	require.Equal(t, "through the gate", got.body)
}

// Health checks of the app begin anew with a reload: until then it is not
// unhealthy.
func TestAReloadWithHealthChecksTurnsNoCallAway(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{args: []string{"--app-port", httpApp(t, echo), "--enable-app-health-check"}})
	s.waitFor("/v1.0/healthz")
	var l load
	l.run("call", func() error {
		a, err := s.try(http.MethodGet, "/v1.0/invoke/a/method/x", "")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
	for range 3 {
		s.reload()
	}
	l.stop.Store(true)
	l.calls.Wait()
	require.Empty(t, l.failures())
}

// Files that change are followed without a signal.
func TestResourcesThatChangeAreFollowed(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{resources: store("mem")})
	s.write("more.yaml", store("more"))
	eventually(t, "the new component does not open", func() bool {
		return s.call(http.MethodGet, "/v1.0/state/more/k", "").status == http.StatusNoContent
	})
	s.write("broken.yaml", strings.Replace(store("broken"), "spec:", "spce:", 1))
	s.waitLog("did you mean spec?")
	require.Equal(t, http.StatusNoContent, s.call(http.MethodGet, "/v1.0/state/more/k", "").status)
	require.NoError(t, os.Remove(filepath.Join(s.resources, "broken.yaml")))
	require.NoError(t, os.Remove(filepath.Join(s.resources, "more.yaml")))
	eventually(t, "the removed component does not go", func() bool {
		return s.call(http.MethodGet, "/v1.0/state/more/k", "").status == http.StatusBadRequest
	})
}
