//go:build linux && release

package install

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxArchive is how much a user should have to download.
const maxArchive = 100 << 20

// release lays the release under test out under a folder: the snapshot that
// RELEASE_DIR names, or else the program in bin.
func release(t *testing.T, folder string) {
	t.Helper()
	if snapshot := os.Getenv("RELEASE_DIR"); snapshot != "" {
		data, err := os.ReadFile(filepath.Join(snapshot, archiveName))
		require.NoError(t, err)
		assert.Less(t, len(data), maxArchive)
		sums, err := os.ReadFile(filepath.Join(snapshot, "checksums.txt"))
		require.NoError(t, err)
		publish(t, folder, "0.0.1", map[string][]byte{archiveName: data})
		require.NoError(t, os.WriteFile(filepath.Join(folder, "latest", "download", "checksums.txt"), sums, 0o644))
		return
	}
	program, err := os.ReadFile("../../bin/dapr")
	require.NoError(t, err, "run make build, or let RELEASE_DIR name a folder with "+archiveName)
	data := archive(t, program)
	assert.Less(t, len(data), maxArchive)
	publish(t, folder, "0.0.1", map[string][]byte{archiveName: data})
}

// The real program, through the pipe on this machine.
func TestProgram(t *testing.T) {
	m := &mirror{folder: t.TempDir()}
	release(t, m.folder)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	for _, line := range pipes {
		t.Run(line, func(t *testing.T) {
			p, _ := newPersonTypes(t, m, line)
			p.installed(t)
			help, err := exec.Command(filepath.Join(p.dir, "dapr"), "--help").Output()
			require.NoError(t, err)
			assert.Contains(t, string(help), "Usage:\n  dapr [flags]\n")
		})
	}
}
