package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
)

func TestPackWritesWhatTheCLIReads(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "linux_amd64")
	content := strings.Repeat("program ", 1000)
	program := filepath.Join(dir, "daprd.exe")
	require.NoError(t, os.WriteFile(program, []byte(content), 0o755))

	require.NoError(t, run([]string{"-version", "1.2.3", "-out", out, program}, io.Discard))

	data, err := os.ReadFile(filepath.Join(out, embed.ManifestFile))
	require.NoError(t, err)
	var m embed.Manifest
	require.NoError(t, json.Unmarshal(data, &m))
	require.Equal(t, "1.2.3", m.Version)
	require.Len(t, m.Programs, 1)
	require.Equal(t, "daprd", m.Programs[0].Name)
	require.EqualValues(t, len(content), m.Programs[0].Size)
	require.Len(t, m.Programs[0].SHA256, 64)

	packed, err := os.ReadFile(filepath.Join(out, embed.PackedFile("daprd")))
	require.NoError(t, err)
	require.Less(t, len(packed), len(content))
	r, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer r.Close()
	unpacked, err := r.DecodeAll(packed, nil)
	require.NoError(t, err)
	require.Equal(t, content, string(unpacked))
}

func TestPackLeavesAloneWhatHasNotChanged(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	program := filepath.Join(dir, "daprd")
	args := []string{"-out", out, program}
	pack := func(content string) time.Time {
		require.NoError(t, os.WriteFile(program, []byte(content), 0o755))
		require.NoError(t, run(args, io.Discard))
		info, err := os.Stat(filepath.Join(out, embed.PackedFile("daprd")))
		require.NoError(t, err)
		return info.ModTime()
	}
	pack("one")
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(filepath.Join(out, embed.PackedFile("daprd")), long, long))
	require.True(t, pack("one").Equal(long), "packed again for nothing")
	require.False(t, pack("two").Equal(long), "a new program was not packed")
}

func TestPackNamesWhatIsMissing(t *testing.T) {
	require.ErrorContains(t, run([]string{"x"}, io.Discard), "-out")
	require.ErrorContains(t, run([]string{"-out", t.TempDir(), "no-such-file"}, io.Discard), "no-such-file")
}
