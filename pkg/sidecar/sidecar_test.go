package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const memoryStore = `
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.in-memory
  version: v1
`

// running is a sidecar in this process, on ports of its own.
type running struct {
	t      *testing.T
	s      *Sidecar
	log    *lockedBuffer
	reload chan struct{}
	base   string
	stop   func() error
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startSidecar runs one with the resources, by file name, in the home folder.
func startSidecar(t *testing.T, home string, resources map[string]string, args ...string) *running {
	t.Helper()
	dir := t.TempDir()
	for name, text := range resources {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	args = append([]string{
		"--resources-path", dir, "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0", "--dapr-listen-addresses", "127.0.0.1",
	}, args...)
	o, err := ParseOptions(args, env("HOME", home))
	require.NoError(t, err)
	r := &running{t: t, log: &lockedBuffer{}, reload: make(chan struct{}, 1)}
	lookup := env("HOME", home, "SECRET", "from the environment")
	r.s, err = New(o, lookup, telemetry.NewLogger(r.log, telemetry.LogOptions{AppID: o.AppID}))
	require.NoError(t, err)
	r.base = fmt.Sprintf("http://127.0.0.1:%d", portOf(r.s.listeners.http...))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // it ends in its own order
	done := make(chan error, 1)
	go func() { done <- r.s.Run(ctx, r.reload) }()
	var once sync.Once
	var result error
	r.stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
			require.NoError(t, r.s.Close())
		})
		return result
	}
	t.Cleanup(func() {
		_ = r.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", o.AppID, r.log)
		}
	})
	return r
}

// call returns status and body.
func (r *running) call(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	require.NoError(r.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(data)
}

func (r *running) waitReady(path string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		code, _ := r.call("GET", path, "")
		return code == http.StatusNoContent
	}, 10*time.Second, 5*time.Millisecond, "%s does not become ready", path)
}

func TestTwoSidecarsInOneProcess(t *testing.T) {
	home := t.TempDir()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s from %s", r.Method, r.URL.Path, r.Header.Get("dapr-caller-app-id"))
	}))
	defer app.Close()
	appPort := app.URL[strings.LastIndex(app.URL, ":")+1:]

	a := startSidecar(t, home, map[string]string{"s.yaml": memoryStore}, "--app-id", "a", "--app-port", appPort)
	b := startSidecar(t, home, map[string]string{"s.yaml": memoryStore}, "--app-id", "b")
	a.waitReady("/v1.0/healthz")
	b.waitReady("/v1.0/healthz")

	code, body := a.call("POST", "/v1.0/state/statestore", `[{"key":"k","value":{"n":1}}]`)
	require.Equal(t, http.StatusNoContent, code, body)
	code, body = a.call("GET", "/v1.0/state/statestore/k", "")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"n":1}`, body)
	code, _ = b.call("GET", "/v1.0/state/statestore/k", "")
	require.Equal(t, http.StatusNoContent, code, "b has a store of its own")

	code, body = b.call("GET", "/v1.0/invoke/a/method/hello", "")
	require.Equal(t, http.StatusOK, code, body)
	require.Equal(t, "GET /hello from b", body)

	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", portOf(a.s.listeners.grpc...)), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	client := runtimev1.NewDaprClient(conn)
	got, err := client.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "statestore", Key: "k"})
	require.NoError(t, err)
	require.JSONEq(t, `{"n":1}`, string(got.GetData()))

	_, err = client.SetMetadata(t.Context(), &runtimev1.SetMetadataRequest{Key: "cliPID", Value: "42"})
	require.NoError(t, err)
	code, body = a.call("GET", "/v1.0/metadata", "")
	require.Equal(t, http.StatusOK, code)
	var m struct {
		ID         string            `json:"id"`
		Extended   map[string]string `json:"extended"`
		Components []struct{ Name, Type, Version string }
		App        struct{ Port int } `json:"appConnectionProperties"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	require.Equal(t, "a", m.ID)
	require.Equal(t, "42", m.Extended["cliPID"])
	require.Equal(t, []struct{ Name, Type, Version string }{{"statestore", "state.in-memory", "v1"}}, m.Components)
	require.Equal(t, appPort, fmt.Sprint(m.App.Port))

	require.Contains(t, a.log.String(), "dapr initialized. Status: Running.")
	require.NoError(t, a.stop())
	require.NoError(t, b.stop())
	left, err := os.ReadDir(filepath.Join(home, ".dapr", "run"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestReloadReadsTheResourcesAnewAndRefusesMistakes(t *testing.T) {
	r := startSidecar(t, t.TempDir(), map[string]string{"s.yaml": memoryStore}, "--app-id", "a")
	dir := r.s.o.ResourcesPaths[0]
	r.waitReady("/v1.0/healthz")
	code, _ := r.call("PUT", "/v1.0/metadata/kept", "yes")
	require.Equal(t, http.StatusNoContent, code)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "more.yaml"), []byte(strings.Replace(memoryStore, "spec:", "spce:", 1)), 0o600))
	r.reload <- struct{}{}
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "reload refused") }, 5*time.Second, 5*time.Millisecond)
	require.Contains(t, r.log.String(), "more.yaml:")
	require.Contains(t, r.log.String(), "did you mean spec?")
	r.waitReady("/v1.0/healthz")

	require.NoError(t, os.Remove(filepath.Join(dir, "more.yaml")))
	r.reload <- struct{}{}
	second := strings.Replace(memoryStore, "name: statestore", "name: second", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more.yaml"), []byte(second), 0o600))
	r.reload <- struct{}{}
	require.Eventually(t, func() bool {
		code, _ := r.call("GET", "/v1.0/state/second/k", "")
		return code == http.StatusNoContent
	}, 10*time.Second, 5*time.Millisecond)
	_, body := r.call("GET", "/v1.0/metadata", "")
	require.Contains(t, body, `"kept":"yes"`)
}

func TestAChangedFileReplacesOnlyWhatChanged(t *testing.T) {
	r := startSidecar(t, t.TempDir(), map[string]string{"s.yaml": memoryStore}, "--app-id", "a")
	dir := r.s.o.ResourcesPaths[0]
	r.waitReady("/v1.0/healthz")
	code, _ := r.call("POST", "/v1.0/state/statestore", `[{"key":"k","value":1}]`)
	require.Equal(t, http.StatusNoContent, code)

	second := filepath.Join(dir, "second.yaml")
	require.NoError(t, os.WriteFile(second, []byte(strings.Replace(memoryStore, "name: statestore", "name: second", 1)), 0o600))
	require.Eventually(t, func() bool {
		code, _ := r.call("GET", "/v1.0/state/second/k", "")
		return code == http.StatusNoContent
	}, 10*time.Second, 5*time.Millisecond)
	_, body := r.call("GET", "/v1.0/state/statestore/k", "")
	require.Equal(t, "1", body, "the store that did not change keeps what it held in memory")

	require.NoError(t, os.Remove(second))
	require.Eventually(t, func() bool {
		code, _ := r.call("GET", "/v1.0/state/second/k", "")
		return code == http.StatusBadRequest
	}, 10*time.Second, 5*time.Millisecond)
}

func TestAComponentThatIsNotReadyShowsInHealthAndInCalls(t *testing.T) {
	needy := `
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: needy
spec:
  type: state.in-memory
  version: v1
  metadata:
  - name: password
    secretKeyRef: {name: SECRET}
auth:
  secretStore: vault
`
	r := startSidecar(t, t.TempDir(), map[string]string{"s.yaml": memoryStore, "needy.yaml": needy}, "--app-id", "a")
	code, body := r.call("GET", "/v1.0/state/statestore/k", "")
	require.Equal(t, http.StatusNoContent, code, body)
	code, body = r.call("GET", "/v1.0/healthz", "")
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, body, "ERR_HEALTH_NOT_READY")
	require.Contains(t, body, "component needy")
	require.Contains(t, body, "vault")
	code, body = r.call("GET", "/v1.0/state/needy/k", "")
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, body, "vault")
}

func TestAPolicyThatDeniesTurnsCallersAway(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	config := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: strict
spec:
  accessControl:
    defaultAction: deny
`), 0o600))
	guarded := startSidecar(t, home, nil, "--app-id", "guarded", "--app-port", app.URL[strings.LastIndex(app.URL, ":")+1:], "--config", config)
	caller := startSidecar(t, home, nil, "--app-id", "caller")
	guarded.waitReady("/v1.0/healthz")
	code, body := caller.call("POST", "/v1.0/invoke/guarded/method/do", "")
	require.Equal(t, http.StatusForbidden, code, body)
	require.Contains(t, body, "ERR_DIRECT_INVOKE")
	code, _ = guarded.call("POST", "/v1.0/invoke/guarded/method/do", "")
	require.Equal(t, http.StatusOK, code, "the app itself is not asked")
}

func TestEndpointsTakeTheirHeadersFromSecrets(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path, " ", r.Header.Get("x-key"))
	}))
	defer outside.Close()
	r := startSidecar(t, t.TempDir(), map[string]string{"e.yaml": `
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata:
  name: outside
spec:
  baseUrl: ` + outside.URL + `
  headers:
  - name: X-Key
    secretKeyRef: {name: KEY}
auth:
  secretStore: vault
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: vault
spec:
  type: secretstores.local.file
  version: v1
  metadata:
  - name: secretsFile
    value: ` + secretsFile(t, `{"KEY": "opens"}`) + `
`}, "--app-id", "a")
	r.waitReady("/v1.0/healthz")
	code, body := r.call("GET", "/v1.0/invoke/outside/method/a/b", "")
	require.Equal(t, http.StatusOK, code, body)
	require.Equal(t, "/a/b opens", body)
}

func secretsFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestShutdownOverTheAPI(t *testing.T) {
	r := startSidecar(t, t.TempDir(), nil, "--app-id", "a")
	r.waitReady("/v1.0/healthz")
	code, _ := r.call("POST", "/v1.0/shutdown", "")
	require.Equal(t, http.StatusNoContent, code)
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "Dapr runtime stopped") }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, r.stop())
}

func TestATypoEndsTheStartAndHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(strings.Replace(memoryStore, "version:", "vesrion:", 1)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.yaml"), []byte(strings.Replace(memoryStore, "state.in-memory", "state.in-memroy", 1)), 0o600))
	var out bytes.Buffer
	err := Main(t.Context(), []string{
		"--app-id", "a", "--resources-path", dir, "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0",
	}, env("HOME", t.TempDir()), &out, io.Discard)
	require.ErrorContains(t, err, "did you mean version?")
	require.ErrorContains(t, err, "did you mean state.in-memory?")
	require.Equal(t, 1, ExitCode(err))
	require.Contains(t, out.String(), "level=fatal")
}
