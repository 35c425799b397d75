package daprd

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// named is an app that answers with its name.
func named(t *testing.T, name string) (port string) {
	t.Helper()
	return httpApp(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}

func TestTenSidecarsThatStartAtOnceFindEachOther(t *testing.T) {
	t.Parallel()
	const count = 10
	home := t.TempDir()
	id := func(n int) string { return fmt.Sprintf("app-%d", n) }
	sidecars := make([]*sidecar, count)
	var ports []string
	for n := range count {
		ports = append(ports, named(t, id(n)))
	}
	for n := range count { // all are on their way before the first is waited for
		sidecars[n] = launch(t, id(n), given{home: home, args: []string{"--app-port", ports[n]}})
	}
	for _, s := range sidecars {
		s.meet()
	}
	var calls sync.WaitGroup
	for _, s := range sidecars {
		calls.Go(func() {
			for n := range count {
				a, err := s.try(http.MethodGet, "/v1.0/invoke/"+id(n)+"/method/x", "")
				if err != nil || a.body != id(n) {
					t.Errorf("%s calls %s: %v %v", s.id, id(n), a, err)
				}
			}
		})
	}
	calls.Wait()
}

func TestAKilledSidecarIsForgottenAndARestartedOneFound(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	caller := start(t, "caller", given{home: home})
	call := func() answer { return caller.call(http.MethodGet, "/v1.0/invoke/callee/method/x", "") }

	first := start(t, "callee", given{home: home, args: []string{"--app-port", named(t, "first")}})
	require.Equal(t, "first", call().body)
	first.kill()
	_, found := registered(t, home, first.cmd.Process.Pid)
	require.False(t, found)
	first.leftNothing()
	a := call()
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.Contains(t, a.body, "callee")

	second := start(t, "callee", given{home: home, args: []string{"--app-port", named(t, "second")}})
	require.Equal(t, "second", call().body, "at once, although the first was remembered")
	second.stop()
	start(t, "callee", given{home: home, args: []string{"--app-port", named(t, "third")}})
	require.Equal(t, "third", call().body)
}

func TestInstancesOfAnAppShareItsCalls(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, name := range []string{"one", "two"} {
		start(t, "callee", given{home: home, args: []string{"--app-port", named(t, name)}})
	}
	caller := start(t, "caller", given{home: home})
	seen := map[string]int{}
	for range 20 {
		seen[caller.call(http.MethodGet, "/v1.0/invoke/callee/method/x", "").body]++
	}
	require.Equal(t, map[string]int{"one": 10, "two": 10}, seen)
}

func TestNamespacesAreApart(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, ns := range []string{"red", "blue"} {
		start(t, "callee", given{home: home, env: []string{"NAMESPACE=" + ns}, args: []string{"--app-port", named(t, ns)}})
	}
	red := start(t, "caller", given{home: home, env: []string{"NAMESPACE=red"}})
	require.Equal(t, "red", red.call(http.MethodGet, "/v1.0/invoke/callee/method/x", "").body)
	require.Equal(t, "blue", red.call(http.MethodGet, "/v1.0/invoke/callee.blue/method/x", "").body)
}

func TestARegistryThatCannotBeWrittenIsNoReasonNotToStart(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	require.NoError(t, os.WriteFile(home+"/.dapr", nil, 0o600)) // a file where a folder must be
	port := freePort(t)
	p := spawn(t, home, []string{"--app-id", "a", "--dapr-http-port", port, "--dapr-grpc-port", "0", "--metrics-port", "0", "--dapr-listen-addresses", "127.0.0.1"}, nil)
	eventually(t, "the API does not answer", func() bool {
		a, err := request(http.DefaultClient, http.MethodGet, "http://127.0.0.1:"+port+"/v1.0/healthz", "")
		return err == nil && a.status == http.StatusNoContent
	})
	require.Len(t, p.lines("other apps on this machine cannot find this one"), 1)
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
}

// The name resolutions of the Configuration stay selectable.
func TestMDNS(t *testing.T) {
	t.Parallel()
	config := configuration("  nameResolution:\n    component: mdns\n")
	// A machine of its own each: nothing but mDNS joins them.
	callee := start(t, "mdns-callee", given{config: config, args: []string{"--app-port", named(t, "found"), "--dapr-internal-grpc-listen-address", ""}})
	caller := start(t, "mdns-caller", given{config: config})
	require.NotEqual(t, callee.home, caller.home)
	a := caller.call(http.MethodGet, "/v1.0/invoke/mdns-callee/method/x", "")
	if a.status != http.StatusOK && strings.Contains(a.body, "couldn't find service") {
		t.Skip("multicast does not work on this machine; the driver was opened: " + a.body)
	}
	require.Equal(t, "found", a.body)
}

func TestAnUnknownNameResolution(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/config.yaml", []byte(configuration("  nameResolution:\n    component: mndns\n")), 0o600))
	code, out := finished(t, "", []string{"--app-id", "a", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0", "--config", dir + "/config.yaml"}, nil)
	require.Equal(t, 1, code)
	require.Contains(t, out, "did you mean nameresolution.mdns?")
}
