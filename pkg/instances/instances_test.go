package instances

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEntryLivesAsLongAsItsLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, err := Register(dir, Instance{AppID: "a/b@c", Namespace: "ns", PID: 7, Address: "127.0.0.1:1", Started: time.Now()})
	require.NoError(t, err)

	got, err := Find(dir, "ns", "a/b@c")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "127.0.0.1:1", got[0].Address)

	other, err := Find(dir, "", "a/b@c")
	require.NoError(t, err)
	require.Empty(t, other)

	require.NoError(t, r.SetExtended("cliPID", "12"))
	got, err = List(dir)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"cliPID": "12"}, got[0].Extended)

	require.NoError(t, r.Close())
	got, err = List(dir)
	require.NoError(t, err)
	require.Empty(t, got)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestEntryOfADeadProcessIsSwept(t *testing.T) {
	dir := t.TempDir()
	r, err := Register(dir, Instance{AppID: "gone", PID: 7})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".gone@@7.json.tmp1"), nil, 0o600)) // it died while it wrote
	require.NoError(t, r.lock.Unlock())                                                    // what the kernel does to a killed process

	got, err := List(dir)
	require.NoError(t, err)
	require.Empty(t, got)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestReadersDoNotKeepEachOtherFromSweeping(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		r, err := Register(dir, Instance{AppID: "gone", PID: i})
		require.NoError(t, err)
		require.NoError(t, r.lock.Unlock())
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				_, err := List(dir)
				require.NoError(t, err)
			})
		}
		readers.Wait()
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestManyRegisterAtOnceWhileOthersSweep(t *testing.T) {
	dir := t.TempDir()
	const n = 20
	stop := make(chan struct{})
	var sweepers, registrants sync.WaitGroup
	for range 4 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, err := List(dir)
					require.NoError(t, err)
				}
			}
		})
	}
	regs := make([]*Registration, n)
	for i := range n {
		registrants.Go(func() {
			r, err := Register(dir, Instance{AppID: fmt.Sprintf("app%d", i), PID: i})
			require.NoError(t, err)
			regs[i] = r
		})
	}
	registrants.Wait()
	close(stop)
	sweepers.Wait()
	got, err := List(dir)
	require.NoError(t, err)
	require.Len(t, got, n)
	for _, r := range regs {
		require.NoError(t, r.Close())
	}
}

func TestAFolderThatDoesNotExistHasNone(t *testing.T) {
	got, err := List(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestTheRuntimesFolder(t *testing.T) {
	// Git's shell for Windows sets both.
	env := map[string]string{"HOME": "unix", "USERPROFILE": "win"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	require.Equal(t, filepath.Join("unix", ".dapr"), runtimeDir("linux", lookup))
	require.Equal(t, filepath.Join("unix", ".dapr"), runtimeDir("darwin", lookup))
	require.Equal(t, filepath.Join("win", ".dapr"), runtimeDir("windows", lookup))
	env["DAPR_RUNTIME_PATH"] = "given"
	require.Equal(t, filepath.Join("given", ".dapr"), runtimeDir("windows", lookup))
	clear(env)
	require.Empty(t, runtimeDir("windows", lookup))
}

func TestInspectLeavesTheDeadInPlace(t *testing.T) {
	dir := t.TempDir()
	alive, err := Register(dir, Instance{AppID: "alive", PID: 1})
	require.NoError(t, err)
	defer alive.Close()
	dead, err := Register(dir, Instance{AppID: "dead", PID: 2, SocketDir: "/sockets"})
	require.NoError(t, err)
	require.NoError(t, dead.lock.Unlock())
	broken, err := Register(dir, Instance{AppID: "broken", PID: 3})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(broken.path+entrySuffix, []byte("{"), 0o600))
	defer broken.Close()

	for range 2 {
		entries, err := Inspect(dir)
		require.NoError(t, err)
		require.Len(t, entries, 3)
		require.True(t, entries[0].Alive)
		require.Equal(t, "alive", entries[0].Instance.AppID)
		require.True(t, entries[1].Alive)
		require.ErrorContains(t, entries[1].Err, "registry entry "+broken.path+entrySuffix)
		require.False(t, entries[2].Alive)
		require.Equal(t, "/sockets", entries[2].Instance.SocketDir)
		require.Equal(t, dead.path, entries[2].Path)
	}

	none, err := Inspect(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, none)
}
