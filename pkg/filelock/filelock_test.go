package filelock

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneAtATimeAndNothingStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "made", "x.lock")
	var (
		group sync.WaitGroup
		held  atomic.Int32
		turns atomic.Int32
	)
	for range 20 {
		group.Go(func() {
			release, err := Acquire(path)
			if err != nil {
				t.Error(err)
				return
			}
			if n := held.Add(1); n != 1 {
				t.Errorf("%d hold the lock at once", n)
			}
			runtime.Gosched()
			turns.Add(1)
			held.Add(-1)
			if err := release(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 20, turns.Load())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	held, err := Held(path)
	require.NoError(t, err)
	require.False(t, held, "there is no file")

	release, err := Acquire(path)
	require.NoError(t, err)
	held, err = Held(path)
	require.NoError(t, err)
	require.True(t, held)

	require.NoError(t, release())
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	held, err = Held(path)
	require.NoError(t, err)
	require.False(t, held, "its holder was killed")
	require.FileExists(t, path)
}
