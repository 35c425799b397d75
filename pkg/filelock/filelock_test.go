package filelock

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneAtATimeAndNothingStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "made", "x.lock")
	var (
		group sync.WaitGroup
		held  int // guarded by the lock alone: the race detector watches
	)
	for range 20 {
		group.Go(func() {
			release, err := Acquire(path)
			if err != nil {
				t.Error(err)
				return
			}
			held++
			if err := release(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 20, held)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Empty(t, entries)
}
