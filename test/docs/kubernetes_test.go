//go:build linux && kubernetes

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKubernetesPage types the sessions of the page in the cluster that
// test/cluster/run.sh has started. The images of the sample are on its node
// already: test/kubernetes, which runs before, has made them.
func TestKubernetesPage(t *testing.T) {
	state := os.Getenv("KONE_DIR")
	require.NotEmpty(t, state, "no cluster: run make test-kubernetes")
	path := filepath.Join(root, "docs", "kubernetes.md")
	p := newPage(t, path)
	p.folder = filepath.Join(p.home, "dapr", "samples", "hello")
	p.cluster, p.anotherDay = true, true
	clear(p.ports) // those of pods are not this machine's

	// The CLI that carries what the image is made of, and the tools of a cluster.
	tools, err := filepath.Abs(filepath.Join(root, "bin"))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(tools, "dapr"), "make build")
	ctr, err := exec.LookPath("ctr") // by its path: the reader's ctr is the script below
	require.NoError(t, err)
	for name, script := range map[string]string{
		"kubectl": `exec "$KONE_BIN/kubeone" kubectl "$@"`,
		// The node has other folders, but the same files.
		"ctr": `exec "$KONE_DIR/in-node" sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" ` + ctr + ` -a /run/containerd/containerd.sock "$@"`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(p.home, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	p.env = append(p.env, fmt.Sprintf("PATH=%s", strings.Join([]string{p.home, tools, os.Getenv("PATH")}, ":")))

	p.follow(t, readPage(t, path))
}
