package unixsocket_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/unixsocket"
)

func TestPath(t *testing.T) {
	require.Equal(t, filepath.Join("run", "dapr-nodeapp-http.socket"), unixsocket.Path("run", "nodeapp", "http"))
}

func TestListen(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock") //nolint:usetesting // t.TempDir is too long a path for a socket on some systems
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })

	t.Run("fresh, and removed at the end", func(t *testing.T) {
		path := unixsocket.Path(dir, "fresh", "http")
		l, err := unixsocket.Listen(path)
		require.NoError(t, err)
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		conn.Close()
		require.NoError(t, l.Close())
		require.NoFileExists(t, path)
	})

	t.Run("a dead one is replaced", func(t *testing.T) {
		path := unixsocket.Path(dir, "dead", "http")
		dead, err := net.Listen("unix", path)
		require.NoError(t, err)
		dead.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
		require.NoError(t, dead.Close())
		l, err := unixsocket.Listen(path)
		require.NoError(t, err)
		l.Close()
	})

	t.Run("one that is alive is not", func(t *testing.T) {
		path := unixsocket.Path(dir, "alive", "http")
		l, err := unixsocket.Listen(path)
		require.NoError(t, err)
		defer l.Close()
		_, err = unixsocket.Listen(path)
		require.ErrorContains(t, err, path+": another process is serving on it")
		conn, err := net.Dial("unix", path)
		require.NoError(t, err, "the first listener still has its socket")
		conn.Close()
	})

	t.Run("another file is not", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
		_, err := unixsocket.Listen(path)
		require.ErrorContains(t, err, "is not a socket")
		require.FileExists(t, path)
	})

	t.Run("too long a path", func(t *testing.T) {
		_, err := unixsocket.Listen(filepath.Join(dir, strings.Repeat("x", 110)))
		require.ErrorContains(t, err, "choose a shorter --unix-domain-socket")
	})

	t.Run("no such folder", func(t *testing.T) {
		_, err := unixsocket.Listen(filepath.Join(dir, "none", "s"))
		require.ErrorContains(t, err, "unix socket "+filepath.Join(dir, "none", "s"))
	})
}

func TestStale(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock") //nolint:usetesting // t.TempDir is too long a path for a socket on some systems
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	_, err = unixsocket.Stale(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale, err := unixsocket.Stale(path)
	require.NoError(t, err)
	require.False(t, stale)

	l.SetUnlinkOnClose(false) // as when the process is killed
	require.NoError(t, l.Close())
	stale, err = unixsocket.Stale(path)
	require.NoError(t, err)
	require.True(t, stale)

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = unixsocket.Stale(path)
	require.ErrorContains(t, err, "is not a socket")
}
