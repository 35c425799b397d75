package secret_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dapr/components-contrib/secretstores"
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"
	runtimev1pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/secret"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func init() {
	secret.Drivers.Register("secretstores.local.env", func(l *slog.Logger) secretstores.SecretStore {
		return env.NewEnvSecretStore(telemetry.ForDriver(l))
	})
	secret.Drivers.Register("secretstores.local.file", func(l *slog.Logger) secretstores.SecretStore {
		return file.NewLocalSecretStore(telemetry.ForDriver(l))
	})
	secret.Drivers.Register("secretstores.empty", func(*slog.Logger) secretstores.SecretStore { return new(emptyStore) })
}

// emptyStore answers without values.
type emptyStore struct{ secretstores.SecretStore }

func (*emptyStore) Init(context.Context, secretstores.Metadata) error { return nil }

func (*emptyStore) GetSecret(context.Context, secretstores.GetSecretRequest) (secretstores.GetSecretResponse, error) {
	return secretstores.GetSecretResponse{}, nil
}

func (*emptyStore) BulkGetSecret(context.Context, secretstores.BulkGetSecretRequest) (secretstores.BulkGetSecretResponse, error) {
	return secretstores.BulkGetSecretResponse{}, nil
}

func (*emptyStore) Features() []secretstores.Feature { return nil }
func (*emptyStore) Close() error                     { return nil }

type fixture struct {
	block   *secret.Block
	metrics *telemetry.Metrics
}

func newBlock(scopes ...resource.SecretsScope) fixture {
	m := telemetry.NewMetrics("app1")
	return fixture{secret.New(secret.Options{Namespace: "prod", Log: telemetry.Discard(), Metrics: m, Scopes: scopes}), m}
}

// openFile opens a local file store with the secrets, a JSON object.
func (f fixture) openFile(t *testing.T, name, secrets string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	require.NoError(t, os.WriteFile(path, []byte(secrets), 0o600))
	require.NoError(t, f.open(t, name, "secretstores.local.file", map[string]string{"secretsFile": path, "multiValued": "true"}))
}

func (f fixture) open(t *testing.T, name, typ string, metadata map[string]string) error {
	t.Helper()
	return f.block.Open(t.Context(), component.Spec{Name: name, Type: typ, Version: "v1", Metadata: metadata})
}

// face is one of the two ways to the block. Both give the values as JSON, or
// the error's text and its code.
type face interface {
	get(t *testing.T, store, key string) (string, answer)
	bulk(t *testing.T, store string) (string, answer)
}

type answer struct {
	http int
	grpc codes.Code
	code string // of the HTTP face only
}

type httpFace struct{ url string }

func newHTTPFace(t *testing.T, b *secret.Block) httpFace {
	t.Helper()
	server := httptest.NewServer(httpapi.New(httpapi.Options{Routes: b.Routes()}))
	t.Cleanup(server.Close)
	return httpFace{server.URL}
}

func (f httpFace) get(t *testing.T, store, key string) (string, answer) {
	t.Helper()
	return f.call(t, "/v1.0/secrets/"+store+"/"+key)
}

func (f httpFace) bulk(t *testing.T, store string) (string, answer) {
	t.Helper()
	return f.call(t, "/v1.0/secrets/"+store+"/bulk")
}

func (f httpFace) call(t *testing.T, path string) (string, answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	if res.StatusCode < 300 {
		return string(body), answer{http: res.StatusCode}
	}
	var failure struct{ ErrorCode, Message string }
	require.NoError(t, json.Unmarshal(body, &failure), string(body))
	return failure.Message, answer{http: res.StatusCode, code: failure.ErrorCode}
}

// daprServer embeds the block's methods like the sidecar does.
type daprServer struct {
	unimplemented
	secret.RPC
}

// unimplemented is one level deeper than the blocks, so that theirs win.
type unimplemented struct {
	runtimev1pb.UnimplementedDaprServer
}

type grpcFace struct{ client runtimev1pb.DaprClient }

func newGRPCFace(t *testing.T, b *secret.Block) grpcFace {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	runtimev1pb.RegisterDaprServer(server, daprServer{RPC: secret.NewRPC(b)})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return grpcFace{runtimev1pb.NewDaprClient(conn)}
}

func (f grpcFace) get(t *testing.T, store, key string) (string, answer) {
	t.Helper()
	res, err := f.client.GetSecret(t.Context(), &runtimev1pb.GetSecretRequest{StoreName: store, Key: key})
	return f.result(t, res.GetData(), err)
}

func (f grpcFace) bulk(t *testing.T, store string) (string, answer) {
	t.Helper()
	res, err := f.client.GetBulkSecret(t.Context(), &runtimev1pb.GetBulkSecretRequest{StoreName: store})
	data := make(map[string]map[string]string)
	for name, values := range res.GetData() {
		data[name] = values.GetSecrets()
	}
	return f.result(t, data, err)
}

func (grpcFace) result(t *testing.T, data any, err error) (string, answer) {
	t.Helper()
	if err != nil {
		s := status.Convert(err)
		return s.Message(), answer{grpc: s.Code()}
	}
	text, err := json.Marshal(data)
	require.NoError(t, err)
	return string(text), answer{grpc: codes.OK}
}

// The same calls through both faces have the same results and matching codes.
func TestFaces(t *testing.T) {
	f := newBlock(
		resource.SecretsScope{StoreName: "closed", DefaultAccess: "deny", AllowedSecrets: []string{"db"}},
	)
	const secrets = `{"db": {"user": "me", "password": "hunter2"}, "token": "abc"}`
	f.openFile(t, "vault", secrets)
	f.openFile(t, "closed", secrets)
	f.block.Pend("late", errors.New("connection refused"))

	get := func(store, key string) func(*testing.T, face) (string, answer) {
		return func(t *testing.T, f face) (string, answer) { t.Helper(); return f.get(t, store, key) }
	}
	bulk := func(store string) func(*testing.T, face) (string, answer) {
		return func(t *testing.T, f face) (string, answer) { t.Helper(); return f.bulk(t, store) }
	}
	for name, tt := range map[string]struct {
		call func(*testing.T, face) (string, answer)
		text string
		want answer
	}{
		"one value":      {get("vault", "token"), `{"token":"abc"}`, answer{http: 200}},
		"several values": {get("vault", "db"), `{"password":"hunter2","user":"me"}`, answer{http: 200}},
		"all":            {bulk("vault"), `{"db":{"password":"hunter2","user":"me"},"token":{"token":"abc"}}`, answer{http: 200}},
		"allowed":        {get("closed", "db"), `{"password":"hunter2","user":"me"}`, answer{http: 200}},
		"all allowed":    {bulk("closed"), `{"db":{"password":"hunter2","user":"me"}}`, answer{http: 200}},
		"not allowed": {
			get("closed", "token"), `the Configuration's spec.secrets.scopes do not let the app read secret "token" of store "closed"`,
			answer{403, codes.PermissionDenied, "ERR_PERMISSION_DENIED"},
		},
		"no such secret": {
			get("vault", "none"), "failed to get secret none from secret store vault: secret none not found",
			answer{500, codes.Internal, "ERR_SECRET_GET"},
		},
		"no such store": {
			get("vaults", "db"), "secret store vaults is not found; did you mean vault?",
			answer{401, codes.InvalidArgument, "ERR_SECRET_STORE_NOT_FOUND"},
		},
		"no such store, all": {
			bulk("kubernetes"), "secret store kubernetes is not found; known: closed, late, vault",
			answer{401, codes.InvalidArgument, "ERR_SECRET_STORE_NOT_FOUND"},
		},
		"not ready": {
			get("late", "db"), "secret store late is declared but not ready: connection refused",
			answer{500, codes.FailedPrecondition, "ERR_SECRET_STORES_NOT_CONFIGURED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, got := tt.call(t, newHTTPFace(t, f.block))
			assert.Equal(t, tt.text, text)
			assert.Equal(t, answer{http: tt.want.http, code: tt.want.code}, got)
			text, got = tt.call(t, newGRPCFace(t, f.block))
			assert.Equal(t, tt.text, text)
			assert.Equal(t, answer{grpc: tt.want.grpc}, got)
		})
	}
}

func TestNoStoreAtAll(t *testing.T) {
	f := newBlock()
	_, err := f.block.Get(t.Context(), "vault", "db", nil)
	var api *apierror.Error
	require.ErrorAs(t, err, &api)
	assert.Equal(t, "ERR_SECRET_STORES_NOT_CONFIGURED", api.Code)
	assert.Equal(t, http.StatusInternalServerError, api.HTTP)
	_, err = f.block.BulkGet(t.Context(), "vault", nil)
	assert.ErrorContains(t, err, "add a component of type secretstores.*")
}

func TestNoValueIsNoContent(t *testing.T) {
	f := newBlock()
	require.NoError(t, f.open(t, "nothing", "secretstores.empty", nil))
	h := newHTTPFace(t, f.block)
	body, got := h.get(t, "nothing", "x")
	assert.Empty(t, body)
	assert.Equal(t, http.StatusNoContent, got.http)
	_, got = h.bulk(t, "nothing")
	assert.Equal(t, http.StatusNoContent, got.http)
}

func TestEnvironmentStore(t *testing.T) {
	t.Setenv("SECRET_TEST_TOKEN", "abc")
	t.Setenv("DAPR_SECRET_TEST", "own")
	f := newBlock()
	require.NoError(t, f.open(t, "env", "secretstores.local.env", nil))
	values, err := f.block.Get(t.Context(), "env", "SECRET_TEST_TOKEN", nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"SECRET_TEST_TOKEN": "abc"}, values)
	values, err = f.block.Get(t.Context(), "env", "DAPR_SECRET_TEST", nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"DAPR_SECRET_TEST": ""}, values, "the sidecar's own variables stay hidden")
}

func TestOpenReplacesOnlyByWhatWorks(t *testing.T) {
	f := newBlock()
	f.openFile(t, "vault", `{"a": "1"}`)
	err := f.open(t, "vault", "secretstores.local.file", map[string]string{"secretsFile": filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "open secret store vault (secretstores.local.file/v1)")
	values, err := f.block.Get(t.Context(), "vault", "a", nil)
	require.NoError(t, err)
	assert.Equal(t, "1", values["a"])

	f.openFile(t, "vault", `{"a": "2"}`)
	values, err = f.block.Get(t.Context(), "vault", "a", nil)
	require.NoError(t, err)
	assert.Equal(t, "2", values["a"])
	assert.Equal(t, []string{"MULTIPLE_KEY_VALUES_PER_SECRET"}, f.block.Capabilities("vault"))

	require.NoError(t, f.block.Close(t.Context(), "vault"))
	require.NoError(t, f.block.Close(t.Context(), "vault"), "closing twice is fine")
	_, err = f.block.Get(t.Context(), "vault", "a", nil)
	assert.ErrorContains(t, err, "no secret store is configured")
	assert.Nil(t, f.block.Capabilities("vault"))
}

func TestOpenNamesTheNearestType(t *testing.T) {
	err := newBlock().open(t, "vault", "secretstores.local.fiel", nil)
	assert.EqualError(t, err, "component vault: no driver for type secretstores.local.fiel; did you mean secretstores.local.file?")
}

// References inside components are not the app's reads: scopes do not apply.
func TestResolve(t *testing.T) {
	f := newBlock(resource.SecretsScope{StoreName: "vault", DefaultAccess: "deny"})
	resolve := f.block.Resolve

	_, err := resolve(t.Context(), "vault", "db")
	require.ErrorIs(t, err, resource.ErrNoSecretStore)
	f.block.Pend("vault", os.ErrDeadlineExceeded)
	_, err = resolve(t.Context(), "vault", "db")
	require.ErrorIs(t, err, resource.ErrNoSecretStore)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	f.openFile(t, "vault", `{"db": "hunter2"}`)
	values, err := resolve(t.Context(), "vault", "db")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"db": "hunter2"}, values)
	_, err = resolve(t.Context(), "vault", "none")
	require.Error(t, err)
	assert.NotErrorIs(t, err, resource.ErrNoSecretStore)
}

func TestMetrics(t *testing.T) {
	f := newBlock()
	f.openFile(t, "vault", `{"a": "1"}`)
	for range 2 {
		_, err := f.block.Get(t.Context(), "vault", "a", nil)
		require.NoError(t, err)
	}
	_, err := f.block.Get(t.Context(), "vault", "none", nil)
	require.Error(t, err)
	_, err = f.block.BulkGet(t.Context(), "vault", nil)
	require.NoError(t, err)

	page := httptest.NewRecorder()
	f.metrics.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	for _, want := range []struct {
		operation, success string
		count              int
	}{{"get", "true", 2}, {"get", "false", 1}, {"bulk_get", "true", 1}} {
		labels := fmt.Sprintf(`{app_id="app1",component="vault",namespace="prod",operation=%q,success=%q}`, want.operation, want.success)
		assert.Contains(t, page.Body.String(), fmt.Sprintf("dapr_component_secret_count%s %d\n", labels, want.count))
		assert.Contains(t, page.Body.String(), fmt.Sprintf("dapr_component_secret_latencies_count%s %d\n", labels, want.count))
	}
	assert.Contains(t, page.Body.String(), `le="100000"`)
}

func TestBulkGetKeepsWhatScopesAllow(t *testing.T) {
	const secrets = `{"a": "1", "b": "2", "c": "3"}`
	for name, tt := range map[string]struct {
		scope resource.SecretsScope
		want  string
	}{
		"no scope":                 {resource.SecretsScope{StoreName: "other", DefaultAccess: "deny"}, "abc"},
		"empty scope":              {resource.SecretsScope{StoreName: "vault"}, "abc"},
		"deny":                     {resource.SecretsScope{StoreName: "vault", DefaultAccess: "Deny"}, ""},
		"deny, some allowed":       {resource.SecretsScope{StoreName: "vault", DefaultAccess: "deny", AllowedSecrets: []string{"b"}}, "b"},
		"allow, some denied":       {resource.SecretsScope{StoreName: "vault", DefaultAccess: "allow", DeniedSecrets: []string{"b"}}, "ac"},
		"allow, only some allowed": {resource.SecretsScope{StoreName: "vault", DefaultAccess: "allow", AllowedSecrets: []string{"a", "c"}}, "ac"},
		"the allowed list is all":  {resource.SecretsScope{StoreName: "vault", AllowedSecrets: []string{"a"}, DeniedSecrets: []string{"a"}}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBlock(tt.scope)
			f.openFile(t, "vault", secrets)
			all, err := f.block.BulkGet(t.Context(), "vault", nil)
			require.NoError(t, err)
			for _, key := range []string{"a", "b", "c"} {
				_, err := f.block.Get(t.Context(), "vault", key, nil)
				allowed := strings.Contains(tt.want, key)
				assert.Equal(t, allowed, err == nil, "get %s", key)
				_, listed := all[key]
				assert.Equal(t, allowed, listed, "bulk %s", key)
			}
		})
	}
}
