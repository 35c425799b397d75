//go:build kubernetes

package kubernetes

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mirror is where the node finds a registry. A container runtime takes plain
// HTTP from its own machine only, unless it is told otherwise.
const mirror = "127.0.0.1:5000/mirror"

// TestAirGapped installs from a registry that only the cluster reaches. The node
// has none of the images before.
func TestAirGapped(t *testing.T) {
	c := theCluster(t)
	probe := c.loadProbe(t)
	registry := c.startInNode(t, probe, "registry", "127.0.0.1:5000")
	eventually(t, 20*time.Second, func() error { return registry.says("listening on 127.0.0.1:5000") })
	require.NotContains(t, c.images(t), "dapr", "the images are not there yet")

	// On a machine that reaches the registry, which may be another one than that
	// which installs.
	out, err := c.run(t, filepath.Join(c.dir, "in-node"), c.dapr, "image", "push", mirror)
	t.Logf("$ dapr image push %s\n%s", mirror, out)
	require.NoError(t, err, out)
	require.NoError(t, registry.says("PUT /v2/mirror/dapr/manifests/"))

	c.types(t, "init", "-k", "--wait", "--timeout", "120", "--image-registry", mirror)
	used := c.kubectl(t, "get", "pods", "-n", "dapr-system", "-o", "jsonpath={range .items[*].spec.containers[*]}{.image}{\"\\n\"}{end}")
	require.Len(t, strings.Split(used, "\n"), 4)
	for image := range strings.SplitSeq(used, "\n") {
		require.True(t, strings.HasPrefix(image, mirror+"/dapr:"), image)
	}
	require.NoError(t, registry.says("GET /v2/mirror/dapr/blobs/"), "the node has pulled")

	c.kubectl(t, "apply", "-f", "testdata/newcomer.yaml")
	pod := c.waitForPod(t, "app=newcomer", "2/2")
	sidecar := c.kubectl(t, "get", "pod", pod.Metadata.Name, "-o", `jsonpath={.spec.containers[?(@.name=="daprd")].image}`)
	require.True(t, strings.HasPrefix(sidecar, mirror+"/dapr:"), sidecar)
	require.Contains(t, c.images(t), mirror+"/dapr:")

	c.kubectl(t, "delete", "-f", "testdata/newcomer.yaml")
	c.types(t, "uninstall", "-k", "--all")
	c.nothingLeft(t)
	for image := range strings.FieldsSeq(c.images(t)) {
		if strings.Contains(image, "/dapr") {
			c.ctr(t, "images", "rm", image)
		}
	}
}

// ctr runs a command of the node's container runtime.
func (c cluster) ctr(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, filepath.Join(c.dir, "in-node"), append([]string{"ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io"}, args...)...)
	require.NoError(t, err, out)
	return out
}

func (c cluster) images(t *testing.T) string {
	t.Helper()
	return c.ctr(t, "images", "ls", "-q")
}

// background is a program that runs beside the test.
type background struct {
	mu  sync.Mutex
	out bytes.Buffer
}

// Write implements io.Writer.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

// text is what the program has printed so far.
func (b *background) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// says tells whether the program has printed a text.
func (b *background) says(text string) error {
	if out := b.text(); !strings.Contains(out, text) {
		return fmt.Errorf("%q is not in:\n%s", text, out)
	}
	return nil
}

// startInNode runs a program in the node's namespaces until the test is over.
func (c cluster) startInNode(t *testing.T, program string, args ...string) *background {
	t.Helper()
	b := &background{}
	cmd := exec.Command(filepath.Join(c.dir, "in-node"), append([]string{program}, args...)...)
	cmd.Stdout, cmd.Stderr = b, b
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // entering a PID namespace takes a second process
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM))
		_ = cmd.Wait() // it was told to end
	})
	return b
}
