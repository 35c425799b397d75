package run

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes/kubetest"
)

const (
	deployments = "/apis/apps/v1/namespaces/default/deployments/"
	pods        = "/api/v1/namespaces/default/pods/"
)

// ready makes a Deployment's pod at once, with a sidecar when the Deployment
// asks for one.
func ready(o *unstructured.Unstructured, add func(string, *unstructured.Unstructured)) {
	if o.GetKind() != "Deployment" {
		return
	}
	_ = unstructured.SetNestedMap(o.Object, map[string]any{"replicas": int64(1), "updatedReplicas": int64(1), "availableReplicas": int64(1)}, "status")
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": []any{
		map[string]any{"name": o.GetName()},
		map[string]any{"name": "daprd", "args": []any{"/daprd", "--app-id", o.GetName()}},
	}}}}
	pod.SetName(o.GetName() + "-1")
	pod.SetNamespace("default")
	add(pods+pod.GetName(), pod)
}

// screen is what somebody sees; it is written and read at one time.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func runFile(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, app := range []string{"node", "python"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, app), 0o755))
	}
	text := "version: 1\napps:\n- {appDirPath: node, appPort: 3000, containerImage: r/node:1, createService: true}\n- {appDirPath: python, containerImage: r/python:1}\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "dapr.yaml"), []byte(text), 0o600))
	return folder
}

// start runs the command. stop is Ctrl-C, and ended gives what it returns.
func start(t *testing.T, server *kubetest.Server, args ...string) (out *screen, stop func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	streams, _, _, _ := iostreams.Test()
	out = &screen{}
	streams.Out, streams.ErrOut = out, out
	cmd := NewCmdRun(cmdutil.NewFactory(cmdutil.Env{"KUBECONFIG=" + server.Kubeconfig}, streams), nil)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	result := make(chan error, 1)
	go func() { result <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(cancel)
	return out, cancel, result
}

func TestRunInACluster(t *testing.T) {
	server := kubetest.New(t, "/apis/dapr.io/v1alpha1/namespaces/default/configurations/appconfig")
	server.Applied, server.Log = ready, "first\nsecond\n"
	folder := runFile(t)
	out, stop, ended := start(t, server, "-k", "-f", folder)
	for _, line := range []string{"== APP - node == second\n", "== APP - python == second\n", "You're up and running!"} {
		require.Eventually(t, func() bool { return strings.Contains(out.String(), line) }, 30*time.Second, 10*time.Millisecond, "%s", out)
	}
	require.Subset(t, server.Paths(), []string{deployments + "node", deployments + "python", "/api/v1/namespaces/default/services/node"})
	text, err := os.ReadFile(filepath.Join(folder, "node", ".dapr", "deploy", "deployment.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "dapr.io/config: appconfig\n")

	stop()
	require.NoError(t, <-ended, "the end was asked for")
	require.Equal(t, []string{pods + "node-1", pods + "python-1", "/apis/dapr.io/v1alpha1/namespaces/default/configurations/appconfig"}, server.Paths(),
		"what was made is gone; its pods are the cluster's affair")
	require.Contains(t, out.String(), "✅  Ending the apps\n")
}

func TestARunInAClusterEndsWithItsPods(t *testing.T) {
	server := kubetest.New(t)
	server.Applied = ready
	out, _, ended := start(t, server, "-k", "-f", runFile(t))
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "You're up and running!") }, 30*time.Second, 10*time.Millisecond)
	server.Remove(pods + "node-1")
	server.Remove(pods + "python-1")
	require.NoError(t, <-ended)
	require.Contains(t, out.String(), "✅  Ending the apps\n")
	require.Empty(t, server.Paths())
}

func TestARunInAClusterThatDoesNotStart(t *testing.T) {
	server := kubetest.New(t)
	server.Applied = func(o *unstructured.Unstructured, add func(string, *unstructured.Unstructured)) {
		ready(o, func(string, *unstructured.Unstructured) {}) // a pod, but without a sidecar
	}
	_, _, ended := start(t, server, "-k", "-f", runFile(t))
	err := <-ended
	require.ErrorContains(t, err, `start the app node: no pod in the namespace default has a sidecar`)
	require.ErrorContains(t, err, `is the control plane there? "dapr status -k" tells`)
	require.Empty(t, server.Paths(), "what was made before is gone")
}

func TestWhatRunInAClusterNeeds(t *testing.T) {
	server := kubetest.New(t)
	folder := runFile(t)
	without := filepath.Join(folder, "without.yaml")
	require.NoError(t, os.WriteFile(without, []byte("version: 1\napps: [{appDirPath: node}]\n"), 0o600))
	for line, want := range map[string]string{
		"-k":               "which apps? give their run file with --run-file",
		"-k -f none.yaml":  "there is no run file none.yaml",
		"-k -f " + without: "run file " + without + ": apps[0].containerImage: it is missing",
		"-f " + folder:     "running several apps from a file (--run-file) is not part of this version",
	} {
		_, _, ended := start(t, server, strings.Fields(line)...)
		require.ErrorContains(t, <-ended, want, line)
	}
	require.Empty(t, server.Paths())
}
