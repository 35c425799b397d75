//go:build kubernetes

// Package kubernetes tests the runtime in a real one-node cluster, as its users
// meet it: with the command dapr, kubectl, and two apps in two languages. It is
// run by "make test-kubernetes", which starts the cluster.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cluster is the one that test/cluster/run.sh has started.
type cluster struct {
	// dapr is the CLI under test.
	dapr string
	// bin holds the cluster's own programs, and dir its state.
	bin, dir string
	env      []string
}

func theCluster(t *testing.T) cluster {
	t.Helper()
	c := cluster{bin: os.Getenv("KONE_BIN"), dir: os.Getenv("KONE_DIR"), dapr: os.Getenv("DAPR")}
	require.NotEmpty(t, c.dir, "no cluster: run make test-kubernetes")
	if c.dapr == "" {
		c.dapr = filepath.Join("..", "..", "bin", "dapr")
	}
	path, err := filepath.Abs(c.dapr)
	require.NoError(t, err)
	c.dapr = path
	require.FileExists(t, c.dapr, "make build")
	home := t.TempDir()
	c.env = []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + filepath.Join(c.dir, "kubeconfig"),
		// Over WebSockets kubectl loses what comes before it has opened the stream.
		"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false",
	}
	return c
}

// step is a part of a story.
type step struct {
	name string
	do   func(*testing.T, cluster)
	// measures says that the story goes on without it.
	measures bool
}

// tell takes the steps of a story in their order. Each needs those before it, so
// the first that fails ends it.
func (c cluster) tell(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { s.do(t, c) }) && !s.measures {
			c.postmortem(t)
			t.Fatalf("the story ends at: %s", s.name)
		}
	}
}

// postmortem shows what a person would look at.
func (c cluster) postmortem(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"},
		{"logs", "-n", "dapr-system", "-l", "app.kubernetes.io/part-of=dapr", "--tail=30", "--prefix"},
		{"logs", "-l", "dapr.io/sidecar-injected=true", "-c", "daprd", "--tail=30", "--prefix"},
	} {
		out, _ := c.tryKubectl(t, args...)
		t.Logf("$ kubectl %s\n%s", strings.Join(args, " "), out)
	}
}

// run runs a program, logs what it prints, and returns it with whether the
// program succeeded.
func (c cluster) run(t *testing.T, program string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = c.env
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	return b.String(), err
}

// types is somebody who types a command of dapr, which must succeed.
func (c cluster) types(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, c.dapr, args...)
	t.Logf("$ dapr %s\n%s", strings.Join(args, " "), out)
	require.NoError(t, err, "dapr %s\n%s", strings.Join(args, " "), out)
	return out
}

// fails is the same for a command that must not succeed.
func (c cluster) fails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, c.dapr, args...)
	t.Logf("$ dapr %s\n%s", strings.Join(args, " "), out)
	require.Error(t, err, "dapr %s\n%s", strings.Join(args, " "), out)
	return out
}

func (c cluster) tryKubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return c.run(t, filepath.Join(c.bin, "kubeone"), append([]string{"kubectl"}, args...)...)
}

func (c cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tryKubectl(t, args...)
	require.NoError(t, err, "kubectl %s\n%s", strings.Join(args, " "), out)
	return strings.TrimSpace(out)
}

// get makes a request from the node, and returns the answer's body.
func (c cluster) get(t *testing.T, url string) (string, error) {
	t.Helper()
	out, err := c.run(t, filepath.Join(c.dir, "in-node"), filepath.Join(c.bin, "testapp"), "get", url)
	body, ok := strings.CutPrefix(out, "200 OK ")
	if err != nil || !ok {
		return "", fmt.Errorf("GET %s: %s", url, strings.TrimSpace(out))
	}
	return body, nil
}

// load brings an image's archive onto the node.
func (c cluster) load(t *testing.T, archive string) {
	t.Helper()
	out, err := c.run(t, filepath.Join(c.dir, "in-node"), "ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io", "images", "import", archive)
	require.NoError(t, err, out)
	t.Log(strings.TrimSpace(out))
}

// loadRuntime brings the image of the runtime onto the node.
func (c cluster) loadRuntime(t *testing.T) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "dapr.tar")
	c.types(t, "image", "save", archive)
	c.load(t, archive)
}

// eventually repeats a look until it finds nothing wrong.
func eventually(t *testing.T, within time.Duration, look func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = look(); err == nil {
			return
		}
	}
	require.NoError(t, err, "not within %s", within)
}

// pod is what the tests look at in a pod.
type pod struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp string
	}
	Status struct {
		PodIP             string
		ContainerStatuses []struct {
			Name         string
			Ready        bool
			RestartCount int
			State        json.RawMessage
		}
	}
}

// ready counts the containers, as kubectl's column READY does.
func (p pod) ready() string {
	ready := 0
	for _, s := range p.Status.ContainerStatuses {
		if s.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(p.Status.ContainerStatuses))
}

// pods returns those of the apps with a label that are not on their way out.
func (c cluster) pods(t *testing.T, selector string) []pod {
	t.Helper()
	return c.podsIn(t, "default", selector)
}

// podsIn is pods of another namespace.
func (c cluster) podsIn(t *testing.T, namespace, selector string) []pod {
	t.Helper()
	var list struct{ Items []pod }
	require.NoError(t, json.Unmarshal([]byte(c.kubectl(t, "get", "pods", "-n", namespace, "-l", selector, "-o", "json")), &list))
	var alive []pod
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp == "" {
			alive = append(alive, p)
		}
	}
	return alive
}

// waitForPod waits until one pod has the label, and as many ready containers.
func (c cluster) waitForPod(t *testing.T, selector, ready string) pod {
	t.Helper()
	var found pod
	eventually(t, 90*time.Second, func() error {
		all := c.pods(t, selector)
		if len(all) != 1 {
			return fmt.Errorf("%d pods with %s", len(all), selector)
		}
		if found = all[0]; found.ready() != ready {
			return fmt.Errorf("%s is %s: %s", found.Metadata.Name, found.ready(), c.explain(t, found))
		}
		return nil
	})
	return found
}

// explain is what a person would look at next.
func (c cluster) explain(t *testing.T, p pod) string {
	t.Helper()
	var b strings.Builder
	for _, s := range p.Status.ContainerStatuses {
		fmt.Fprintf(&b, "\n%s: %s", s.Name, s.State)
		log, _ := c.tryKubectl(t, "logs", p.Metadata.Name, "-c", s.Name, "--tail=8")
		fmt.Fprintf(&b, "\n%s", log)
	}
	return b.String()
}
