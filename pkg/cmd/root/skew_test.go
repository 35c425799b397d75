package root

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kubeconfig leads to an API server that answers every request with answer.
func kubeconfig(t *testing.T, user string, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewTLSServer(answer) // nobody logs in to a server without
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: %q, insecure-skip-tls-verify: true}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
users: [{name: me, user: %s}]
`, server.URL, user)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func controlPlane(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "old and deprecated"`)
		if r.URL.Path != "/api/v1/pods" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"kind": "PodList", "apiVersion": "v1", "items": [{
			"metadata": {"namespace": "dapr-system", "name": "dapr-operator-1", "labels": {"app": "dapr-operator"}},
			"spec": {"containers": [{"name": "dapr-operator", "image": "localhost:5000/dapr:`+version+`"}]}}]}`)
	}
}

func TestVersionWarnsOfSkewByItself(t *testing.T) {
	plain := "CLI version: edge \nRuntime version: n/a\n"
	for name, tt := range map[string]struct {
		user   string
		answer http.HandlerFunc
		want   string
	}{
		"skew": {
			user: "{token: x}", answer: controlPlane("1.2.3"),
			want: "The control plane has version 1.2.3, this program edge, and one of them is no release: nobody knows whether they work together. Use the dapr of version 1.2.3, or run \"dapr upgrade -k\"\n",
		},
		"none": {user: "{token: x}", answer: controlPlane("edge")},
		"no Dapr": {user: "{token: x}", answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"kind": "PodList", "apiVersion": "v1"}`)
		}},
		"no right": {user: "{token: x}", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		"no API":   {user: "{token: x}", answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
		// Who has not asked for the cluster has not asked to log in to it.
		"login": {user: `{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, "echo login >&2; exit 1"], interactiveMode: Never}}`, answer: controlPlane("1.2.3")},
		"hangs": {user: "{token: x}", answer: func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.env = append(p.env, "KUBECONFIG="+kubeconfig(t, tt.user, tt.answer))
			begun := time.Now()
			out, errOut, code := p.run("version")
			require.Less(t, time.Since(begun), 3*time.Second) // 1 and some for a busy machine
			require.Zero(t, code)
			require.Equal(t, plain, out)
			require.Equal(t, tt.want, strings.TrimPrefix(errOut, "⚠  "))

			out, errOut, code = p.run("version", "-o", "json")
			require.Zero(t, code)
			require.JSONEq(t, `{"Cli version": "edge", "Runtime version": "n/a"}`, out)
			require.Equal(t, tt.want, strings.TrimPrefix(errOut, "⚠  "))
		})
	}
}

func TestVersionAsksNobodyWithoutAKubeconfig(t *testing.T) {
	p := newPerson(t)
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none")} {
		p.env = append(p.env, "KUBECONFIG="+path)
		out, errOut, code := p.run("version")
		require.Zero(t, code)
		require.Equal(t, "CLI version: edge \nRuntime version: n/a\n", out)
		require.Empty(t, errOut)
	}
}
