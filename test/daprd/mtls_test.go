package daprd

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/sentry"
)

var listening = regexp.MustCompile(`dapr-sentry is listening on .*:(\d+)"`)

// authority runs a certificate authority and returns what a sidecar of its needs.
func authority(t *testing.T) (args, env []string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: daprsystem}\nspec: {}\n"), 0o600))
	credentials := filepath.Join(dir, "credentials")
	require.NoError(t, os.Mkdir(credentials, 0o700))

	var log output
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ended below, and waited for
	done := make(chan error, 1)
	go func() {
		done <- sentry.Main(ctx, []string{
			"--issuer-credentials", credentials, "--config", config, "--port", "0", "--healthz-port", "0", "--metrics-port", "0", "--listen-address", "127.0.0.1",
		}, func(string) (string, bool) { return "", false }, &log, &log)
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	eventually(t, "the authority does not listen", func() bool { return listening.MatchString(log.String()) })
	anchors, err := os.ReadFile(filepath.Join(credentials, "ca.crt"))
	require.NoError(t, err)
	address := "127.0.0.1:" + listening.FindStringSubmatch(log.String())[1]
	return []string{"--enable-mtls", "--sentry-address", address}, []string{"DAPR_TRUST_ANCHORS=" + string(anchors)}
}

func TestSidecarsProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	args, env := authority(t)
	home := t.TempDir()
	callee := start(t, "callee", given{
		home: home, env: env, args: append([]string{"--app-port", httpApp(t, echo)}, args...),
		config: `
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: guarded}
spec:
  accessControl:
    defaultAction: deny
    policies:
    - appId: friend
      defaultAction: deny
      operations:
      - name: /open/*
        httpVerb: [GET]
        action: allow
`,
	})
	callee.waitFor("/v1.0/healthz")
	friend := start(t, "friend", given{home: home, env: env, args: args})
	stranger := start(t, "stranger", given{home: home, env: env, args: args})
	plain := start(t, "plain", given{home: home})

	for _, c := range []struct {
		name   string
		from   *sidecar
		method string
		path   string
		code   int
		body   string
	}{
		{"an allowed method", friend, http.MethodGet, "open/a/b", http.StatusOK, ""},
		{"another verb", friend, http.MethodPost, "open/a", http.StatusForbidden, "denied"},
		{"another method", friend, http.MethodGet, "closed", http.StatusForbidden, "denied"},
		{"a way around the rule", friend, http.MethodGet, "open/../closed", http.StatusForbidden, "denied"},
		{"an app without a policy", stranger, http.MethodGet, "open/a", http.StatusForbidden, "denied"},
		{"a caller without a certificate", plain, http.MethodGet, "open/a", http.StatusInternalServerError, "failed to invoke"},
	} {
		req, err := http.NewRequest(c.method, c.from.base+"/v1.0/invoke/callee/method/"+c.path, http.NoBody)
		require.NoError(t, err, c.name)
		req.Header.Set("dapr-caller-app-id", "friend") // what a header says proves nothing
		res, err := c.from.client.Do(req)
		require.NoError(t, err, c.name)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err, c.name)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.code, res.StatusCode, "%s: %s", c.name, body)
		require.Contains(t, string(body), c.body, c.name)
	}
}

func TestAnUnreachableAuthorityIsNamed(t *testing.T) {
	t.Parallel()
	_, env := authority(t)
	s := spawn(t, t.TempDir(), []string{
		"--app-id", "a", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0", "--enable-mtls", "--sentry-address", "127.0.0.1:1",
	}, env)
	s.waitLog("waiting for a certificate of the certificate authority at 127.0.0.1:1")
	s.waitLog("connection refused")
}
