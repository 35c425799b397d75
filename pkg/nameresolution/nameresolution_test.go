package nameresolution

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	contrib "github.com/dapr/components-contrib/nameresolution"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func init() { Drivers.Register("nameresolution.local", NewLocal) }

func open(t *testing.T, folder string) *local {
	t.Helper()
	r, err := Open(t.Context(), Options{Driver: "local", Folder: folder}, telemetry.Discard())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r.(*local)
}

func register(t *testing.T, folder, namespace, appID, address string, pid int) *instances.Registration {
	t.Helper()
	r, err := instances.Register(folder, instances.Instance{AppID: appID, Namespace: namespace, Address: address, PID: pid, Started: time.Now()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func resolve(t *testing.T, r Resolver, namespace, appID string) string {
	t.Helper()
	address, err := r.ResolveID(t.Context(), contrib.ResolveRequest{ID: appID, Namespace: namespace})
	require.NoError(t, err)
	return address
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		err  string
	}{
		{"an unknown driver suggests the nearest", Options{Driver: "lokal"}, "did you mean nameresolution.local?"},
		{"local needs its folder", Options{Driver: "local"}, "folder is missing"},
		{"local's folder is text", Options{Driver: "local", Configuration: map[string]any{"folder": 7}}, "folder is int"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.o, telemetry.Discard())
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func TestLocalFolderOfTheConfigurationWins(t *testing.T) {
	folder := t.TempDir()
	register(t, folder, "", "a", "127.0.0.1:1", 1)
	r, err := Open(t.Context(), Options{Driver: "local", Folder: t.TempDir(), Configuration: map[string]any{"folder": folder}}, telemetry.Discard())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "", "a"))
}

func TestLocalNamespaces(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	register(t, folder, "", "a", "127.0.0.1:1", 1)
	register(t, folder, "prod", "a", "127.0.0.1:2", 2)
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "", "a"))
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "default", "a"))
	require.Equal(t, "127.0.0.1:2", resolve(t, r, "prod", "a"))
}

func TestLocalInstancesTakeTurns(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	register(t, folder, "", "a", "127.0.0.1:1", 1)
	register(t, folder, "", "a", "127.0.0.1:2", 2)
	seen := map[string]int{}
	for range 10 {
		seen[resolve(t, r, "", "a")]++
	}
	require.Equal(t, map[string]int{"127.0.0.1:1": 5, "127.0.0.1:2": 5}, seen)
}

func TestLocalKeepsAnswersForASecond(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	now := time.Now()
	r.clock = func() time.Time { return now }

	first := register(t, folder, "", "a", "127.0.0.1:1", 1)
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "", "a"))
	require.NoError(t, first.Close())
	register(t, folder, "", "a", "127.0.0.1:2", 2)
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "", "a"), "within the second")
	now = now.Add(fresh)
	require.Equal(t, "127.0.0.1:2", resolve(t, r, "", "a"), "after the second")
}

func TestLocalForgetsWhatWasNotThere(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	first := register(t, folder, "", "a", "127.0.0.1:1", 1)
	require.Equal(t, "127.0.0.1:1", resolve(t, r, "", "a"))
	require.NoError(t, first.Close())
	register(t, folder, "", "a", "127.0.0.1:2", 2)
	r.Invalidate("a", "")
	require.Equal(t, "127.0.0.1:2", resolve(t, r, "", "a"))
}

func TestLocalUnknownApp(t *testing.T) {
	r := open(t, t.TempDir())
	start := time.Now()
	_, err := r.ResolveID(t.Context(), contrib.ResolveRequest{ID: "nobody"})
	require.ErrorIs(t, err, errNotFound)
	require.ErrorContains(t, err, "dapr run --app-id nobody")
	require.GreaterOrEqual(t, time.Since(start), patience)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.ResolveID(ctx, contrib.ResolveRequest{ID: "nobody"})
	require.ErrorIs(t, err, context.Canceled)
}

// Ten apps start at the same moment and look for each other at once.
func TestLocalAllFindEachOther(t *testing.T) {
	const apps = 10
	folder := t.TempDir()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range apps {
		wg.Go(func() {
			<-start
			r, err := Open(t.Context(), Options{Driver: "local", Folder: folder}, telemetry.Discard())
			if err != nil {
				t.Error(err)
				return
			}
			reg, err := instances.Register(folder, instances.Instance{AppID: "app" + strconv.Itoa(i), PID: i + 1, Address: "127.0.0.1:" + strconv.Itoa(1000+i)})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = reg.Close() })
			for other := range apps {
				address, err := r.ResolveID(t.Context(), contrib.ResolveRequest{ID: "app" + strconv.Itoa(other)})
				if want := net.JoinHostPort("127.0.0.1", strconv.Itoa(1000+other)); err != nil || address != want {
					t.Errorf("app%d looks for app%d: %q, %v", i, other, address, err)
				}
			}
		})
	}
	close(start)
	wg.Wait()
}
