package stop

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
)

// cluster is an API server that knows Deployments and Services, by their paths.
// An object that was deleted is still seen once, as one is whose pods take time
// to end.
type cluster struct {
	t       *testing.T
	mu      sync.Mutex
	objects map[string]bool // true: deleted, and to be seen once more
	// forbidden is the path that nobody may delete.
	forbidden string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		assert.NoError(c.t, json.NewEncoder(w).Encode(body))
	}
	refuse := func(code int, reason metav1.StatusReason, message string) {
		answer(code, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   metav1.StatusFailure, Reason: reason, Message: message, Code: int32(code),
		})
	}
	list := func(groupVersion, plural, kind string) metav1.APIResourceList {
		return metav1.APIResourceList{GroupVersion: groupVersion, APIResources: []metav1.APIResource{{Name: plural, Kind: kind, Namespaced: true}}}
	}
	apps := metav1.GroupVersionForDiscovery{GroupVersion: "apps/v1", Version: "v1"}
	switch r.URL.Path {
	case "/version":
		answer(http.StatusOK, map[string]string{"gitVersion": "v1.33.0"})
	case "/api":
		answer(http.StatusOK, metav1.APIVersions{Versions: []string{"v1"}})
	case "/apis":
		answer(http.StatusOK, metav1.APIGroupList{Groups: []metav1.APIGroup{{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{apps}, PreferredVersion: apps}}})
	case "/api/v1":
		answer(http.StatusOK, list("v1", "services", "Service"))
	case "/apis/apps/v1":
		answer(http.StatusOK, list("apps/v1", "deployments", "Deployment"))
	default:
		going, there := c.objects[r.URL.Path]
		switch {
		case !there:
			refuse(http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
		case r.Method == http.MethodDelete && r.URL.Path == c.forbidden:
			refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "you may not")
		case r.Method == http.MethodDelete:
			var o metav1.DeleteOptions
			assert.NoError(c.t, json.NewDecoder(r.Body).Decode(&o))
			assert.Equal(c.t, metav1.DeletePropagationForeground, *o.PropagationPolicy)
			c.objects[r.URL.Path] = true
			answer(http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
		default:
			if going {
				delete(c.objects, r.URL.Path)
			}
			answer(http.StatusOK, map[string]string{"apiVersion": "v1", "kind": "Any"})
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func types(t *testing.T, address string, args ...string) (out, errOut string, err error) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: address}},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test"}},
		CurrentContext: "test",
	}, config))
	streams, _, outBuf, errBuf := iostreams.Test()
	cmd := NewCmdStop(cmdutil.NewFactory(cmdutil.Env{"KUBECONFIG=" + config}, streams), nil)
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
	c := &cluster{t: t, forbidden: prefix + "held", objects: map[string]bool{
		prefix + "node": false, "/api/v1/namespaces/shop/services/node": false,
		prefix + "held": false, prefix + "other": false, "/api/v1/namespaces/default/services/node": false,
	}}
	server := httptest.NewServer(c)
	defer server.Close()
	out, errOut, err := types(t, server.URL, "-k", "-f", folder)
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
	require.Equal(t, map[string]bool{prefix + "held": false, prefix + "other": false, "/api/v1/namespaces/default/services/node": false},
		c.objects, "only what the files name is deleted, and all of it is gone")
}

func TestWhatStopInAClusterNeeds(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	file := filepath.Join(t.TempDir(), "dapr.yaml")
	write(t, file, "version: 1\napps: [{appDirPath: .}]\n")
	for line, want := range map[string]string{
		"-k":              `which apps? give their run file with --run-file; a Deployment of your own is stopped with "kubectl scale deployment NAME --replicas=0"`,
		"-k nodeapp":      "in a cluster the apps of a run file are stopped: give it with --run-file",
		"-k -f x nodeapp": "--run-file stops all apps of the file: leave out nodeapp",
		"-k -f none.yaml": "there is no run file none.yaml",
		"-k -f " + file:   " does not answer: ",
		"-f " + file:      "run files (--run-file) on this machine are not part of this version",
		"":                "which app? give its id",
	} {
		_, _, err := types(t, gone.URL, strings.Fields(line)...)
		require.ErrorContains(t, err, want, line)
	}
}
