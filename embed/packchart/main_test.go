package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/helm"
)

// write runs the command, and returns the file it writes.
func write(t *testing.T, version string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "dapr_chart.tgz")
	require.NoError(t, run([]string{"-version", version, "-time", "2026-01-31T12:00:00+01:00", "-out", out}, io.Discard))
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	return data
}

// unpack returns the archive's files, below the folder that all are in.
func unpack(t *testing.T, archive []byte) fstest.MapFS {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	files := make(fstest.MapFS)
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		require.True(t, h.ModTime.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)), "%s: %s", h.Name, h.ModTime)
		name, ok := strings.CutPrefix(h.Name, "dapr/")
		require.True(t, ok, h.Name)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		files[name] = &fstest.MapFile{Data: data}
	}
}

func TestTheArchiveHasOneVersion(t *testing.T) {
	files := unpack(t, write(t, "1.2.3"))
	for name, file := range files {
		if filepath.Base(name) == "Chart.yaml" || name == "values.yaml" {
			require.NotContains(t, string(file.Data), "edge", name)
			require.Contains(t, string(file.Data), ": 1.2.3\n", name)
		}
	}
	// All the rest is as it stands in the source.
	source, err := helm.Load(embed.Chart(), "1.2.3")
	require.NoError(t, err)
	packed, err := helm.Load(files, "1.2.3")
	require.NoError(t, err)
	target := helm.Target{Release: "dapr", Namespace: "dapr-system"}
	want, err := source.Template(t.Context(), target, helm.Values{"global": map[string]any{"tag": "1.2.3"}})
	require.NoError(t, err)
	got, err := packed.Template(t.Context(), target, nil)
	require.NoError(t, err)
	require.Contains(t, want.Manifest, "/dapr:1.2.3")
	require.Equal(t, want.Manifest, got.Manifest)
}

func TestOneContentIsOneArchive(t *testing.T) {
	first, again := write(t, "1.2.3"), write(t, "1.2.3")
	require.Equal(t, first, again)
}

func TestAChartThatCannotBeStamped(t *testing.T) {
	chart := fstest.MapFS{"Chart.yaml": {Data: []byte("version: 0.0.0-edge\nappVersion: other\n")}}
	require.ErrorContains(t, pack(io.Discard, chart, "1.2.3", time.Now()), `Chart.yaml has no line "appVersion: edge"`)
}

func TestWrongUse(t *testing.T) {
	require.EqualError(t, run(nil, io.Discard), "-out is required")
	require.EqualError(t, run([]string{"-out", "x", "-time", "today"}, io.Discard), `-time "today" is no time such as 2026-01-31T12:00:00Z`)
}
