package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, WriteFile(path, []byte("old"), 0o644))
	require.NoError(t, WriteFile(path, []byte("new"), 0o600))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	if runtime.GOOS == "windows" {
		return // files have access lists there, which come from the folder
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestReadersAndAWriterAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	old, other := strings.Repeat("a", 1000), strings.Repeat("b", 1000)
	require.NoError(t, WriteFile(path, []byte(old), 0o600))
	over := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(20 * time.Millisecond): // nobody reads all the time
				}
				data, err := ReadFile(path)
				if err != nil {
					t.Error(err)
					return
				}
				if s := string(data); s != old && s != other {
					t.Errorf("neither the one nor the other: %q", s)
				}
			}
		})
	}
	for i := range 50 {
		require.NoError(t, WriteFile(path, []byte([]string{old, other}[i%2]), 0o600))
	}
	close(over)
	readers.Wait()
	require.NoError(t, Remove(path))
	require.NoFileExists(t, path)
}

func TestPersist(t *testing.T) {
	busy, broken := errors.New("busy"), errors.New("broken")
	isBusy := func(err error) bool { return errors.Is(err, busy) }
	answers := func(errs ...error) (do func() error, calls *int) {
		calls = new(int)
		return func() error {
			*calls++
			return errs[min(*calls, len(errs))-1]
		}, calls
	}
	for name, tt := range map[string]struct {
		answers []error
		want    error
		calls   int
	}{
		"at once":      {[]error{nil}, nil, 1},
		"after a wait": {[]error{busy, busy, nil}, nil, 3},
		"for good":     {[]error{broken}, broken, 1},
		"in the end":   {[]error{busy, broken}, broken, 2},
	} {
		t.Run(name, func(t *testing.T) {
			do, calls := answers(tt.answers...)
			require.ErrorIs(t, persist(isBusy, do), tt.want)
			require.Equal(t, tt.calls, *calls)
		})
	}
	t.Run("not for ever", func(t *testing.T) {
		do, calls := answers(busy)
		require.ErrorIs(t, persist(isBusy, do), busy)
		require.Greater(t, *calls, 3)
	})
}

func TestWriteFileLeavesNothingBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "full"), 0o755)) // a folder that rename cannot replace
	require.Error(t, WriteFile(path, []byte("x"), 0o644))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.json")
	left := filepath.Join(dir, ".f.json.tmp12")
	for _, file := range []string{path, left, filepath.Join(dir, ".other.tmp1")} {
		require.NoError(t, os.WriteFile(file, nil, 0o600))
	}
	found, err := Unfinished(path)
	require.NoError(t, err)
	require.Equal(t, []string{left}, found)
	require.NoError(t, RemoveUnfinished(path))
	require.NoFileExists(t, left)
	require.FileExists(t, path)
}
