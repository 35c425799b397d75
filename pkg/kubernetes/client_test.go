package kubernetes

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfig writes a file with a context for each server, both of the same
// name; the first is the current one.
func kubeconfig(t *testing.T, servers ...string) string {
	t.Helper()
	config := api.NewConfig()
	for i := 0; i < len(servers); i += 2 {
		name := servers[i]
		config.Clusters[name] = &api.Cluster{Server: servers[i+1]}
		config.AuthInfos[name+"-user"] = &api.AuthInfo{Token: "secret"}
		config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name + "-user"}
	}
	if len(servers) > 0 {
		config.CurrentContext = servers[0]
	}
	path := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}

func environment(vars ...string) func(string) string {
	return func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestWhichCluster(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".kube"), 0o700))
	require.NoError(t, os.Rename(kubeconfig(t, "home", "https://home"), filepath.Join(home, ".kube", "config")))
	one, two := kubeconfig(t, "one", "https://one", "spare", "https://spare"), kubeconfig(t, "two", "https://two")
	list := "KUBECONFIG=" + strings.Join([]string{filepath.Join(home, "none"), one, two}, string(os.PathListSeparator))
	homes := []string{"HOME=" + home, "USERPROFILE=" + home}
	for name, tt := range map[string]struct {
		options Options
		want    string
	}{
		"the home folder's":              {Options{Getenv: environment(homes...)}, "https://home"},
		"the environment's, merged":      {Options{Getenv: environment(append(homes, list)...)}, "https://one"},
		"a context of the second file":   {Options{Context: "two", Getenv: environment(list)}, "https://two"},
		"the flag's":                     {Options{Kubeconfig: two, Getenv: environment(list)}, "https://two"},
		"the flag's, in another context": {Options{Kubeconfig: one, Context: "spare"}, "https://spare"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Connect(tt.options)
			require.NoError(t, err)
			require.Equal(t, tt.want, c.Config().Host)
			require.Contains(t, c.String(), tt.want)
			got, err := c.Getter().ToRESTConfig()
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Host)
		})
	}
}

func TestKubeconfigsThatDoNotDo(t *testing.T) {
	one := kubeconfig(t, "production", "https://one", "staging", "https://two")
	edit := func(change func(*api.Config)) string {
		config, err := clientcmd.LoadFromFile(one)
		require.NoError(t, err)
		change(config)
		path := filepath.Join(t.TempDir(), "config")
		require.NoError(t, clientcmd.WriteToFile(*config, path))
		return path
	}
	broken := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(broken, []byte("{"), 0o600))
	for name, tt := range map[string]struct {
		options Options
		want    string
	}{
		"no home":       {Options{}, "no cluster to talk to"},
		"no file":       {Options{Getenv: environment("HOME=/none", "USERPROFILE=/none")}, "no cluster to talk to: there is no kubeconfig in " + filepath.Join("/none", ".kube", "config")},
		"flag, no file": {Options{Kubeconfig: filepath.Join(t.TempDir(), "none")}, "kubeconfig: open "},
		"not YAML":      {Options{Kubeconfig: broken}, "kubeconfig: "},
		"a wrong context": {
			Options{Kubeconfig: one, Context: "stagging"},
			`has no context "stagging" (it has production, staging); did you mean "staging"?`,
		},
		"no current context": {
			Options{Kubeconfig: edit(func(c *api.Config) { c.CurrentContext = "" })},
			"names no current context (it has production, staging); give --context",
		},
		"no such cluster": {
			Options{Kubeconfig: edit(func(c *api.Config) { delete(c.Clusters, "production") })},
			`context "production" names the cluster "production", which is not in the file`,
		},
		"no such user": {
			Options{Kubeconfig: edit(func(c *api.Config) { delete(c.AuthInfos, "production-user") })},
			`context "production" names the user "production-user", who is not in the file`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(tt.options)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestReach(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Warning", `299 - "this version is old"`)
		_, _ = w.Write([]byte(`{"gitVersion":"v1.33.13"}`))
	}
	server := httptest.NewServer(http.HandlerFunc(answer))
	defer server.Close()
	var warned []string
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", server.URL), Warn: func(s string) { warned = append(warned, s) }})
	require.NoError(t, err)
	info, err := c.Reach(t.Context())
	require.NoError(t, err)
	require.Equal(t, "v1.33.13", info.GitVersion)
	require.Equal(t, []string{"this version is old"}, warned)
}

func TestClustersThatDoNotAnswer(t *testing.T) {
	serve := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.URL
	}
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	defer encrypted.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tt := range map[string]struct{ server, want string }{
		"nobody listens": {gone.URL, "connection refused; is it running, and is the context right?"},
		"no such host":   {"https://cluster.invalid", "cannot be found: lookup cluster.invalid"},
		"a strange certificate": {
			encrypted.URL, "has a certificate that the kubeconfig does not trust",
		},
		"not Kubernetes": {
			serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
			"does not answer as Kubernetes does; is the address right?",
		},
		"old credentials": {
			serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }),
			`refuses the credentials of the user "test-user"; log in again, or choose another context`,
		},
		"broken": {
			serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }),
			`the cluster "test" (context "test"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Connect(Options{Kubeconfig: kubeconfig(t, "test", tt.server)})
			require.NoError(t, err)
			_, err = c.Reach(t.Context())
			require.ErrorContains(t, err, tt.want)
		})
	}
}
