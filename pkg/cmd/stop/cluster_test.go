package stop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes/kubetest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func types(t *testing.T, kubeconfig string, args ...string) (out, errOut string, err error) {
	t.Helper()
	streams, _, outBuf, errBuf := iostreams.Test()
	cmd := NewCmdStop(cmdutil.NewFactory(cmdutil.Env{"KUBECONFIG=" + kubeconfig}, streams), nil)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return outBuf.String(), errBuf.String(), err
}

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\n"
	service    = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: shop}\n"
)

func TestStopInACluster(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "dapr.yaml"), "version: 1\napps:\n- {appDirPath: node}\n- {appDirPath: python}\n- {appDirPath: none}\n- {appDirPath: bad}\n- {appDirPath: held}\n")
	for _, name := range []string{"node", "python", "held"} {
		write(t, filepath.Join(folder, name, ".dapr", "deploy", "deployment.yaml"), strings.ReplaceAll(deployment, "NAME", name))
	}
	write(t, filepath.Join(folder, "node", ".dapr", "deploy", "service.yaml"), strings.ReplaceAll(service, "NAME", "node"))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "none"), 0o755))
	write(t, filepath.Join(folder, "bad", ".dapr", "deploy", "service.yaml"), "kind: Service\nmetadata: {name: bad}\n")

	const prefix = "/apis/apps/v1/namespaces/default/deployments/"
	server := kubetest.New(t, prefix+"node", "/api/v1/namespaces/shop/services/node",
		prefix+"held", prefix+"other", "/api/v1/namespaces/default/services/node")
	server.Forbidden = prefix + "held"
	out, errOut, err := types(t, server.Kubeconfig, "-k", "-f", folder)
	require.NoError(t, err, "an app that cannot be stopped does not make the command fail")
	require.Equal(t, `ℹ️  node: deleted the Deployment node
ℹ️  node: deleted the Service node
✅  app stopped successfully: node
ℹ️  python: nothing of it was left in the cluster "test" (context "test", `+server.URL+`)
✅  app stopped successfully: python
`, out)
	require.Equal(t, "❌  failed to stop app id none: there is neither "+filepath.Join(folder, "none", ".dapr", "deploy", "deployment.yaml")+
		" nor "+filepath.Join(folder, "none", ".dapr", "deploy", "service.yaml")+`
❌  failed to stop app id bad: `+filepath.Join(folder, "bad", ".dapr", "deploy", "service.yaml")+`, document 1: it needs apiVersion, kind and metadata.name
❌  failed to stop app id held: delete Deployment held: you may not
`, errOut)
	require.Equal(t, []string{"/api/v1/namespaces/default/services/node", prefix + "held", prefix + "other"}, server.Paths(),
		"only what the files name is deleted, and all of it is gone")
}

func TestWhatStopInAClusterNeeds(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "config")
	file := filepath.Join(t.TempDir(), "dapr.yaml")
	write(t, file, "version: 1\napps: [{appDirPath: .}]\n")
	for line, want := range map[string]string{
		"-k":              `which apps? give their run file with --run-file; a Deployment of your own is stopped with "kubectl scale deployment NAME --replicas=0"`,
		"-k nodeapp":      "in a cluster the apps of a run file are stopped: give it with --run-file",
		"-k -f x nodeapp": "--run-file stops all apps of the file: leave out nodeapp",
		"-k -f none.yaml": "there is no run file none.yaml",
		"-k -f " + file:   "no cluster to talk to: ",
		"-f " + file:      "run files (--run-file) on this machine are not part of this version",
		"":                "which app? give its id",
	} {
		_, _, err := types(t, nowhere, strings.Fields(line)...)
		require.ErrorContains(t, err, want, line)
	}
}
