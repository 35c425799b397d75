package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, WriteFile(path, []byte("old"), 0o644))
	require.NoError(t, WriteFile(path, []byte("new"), 0o600))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
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
