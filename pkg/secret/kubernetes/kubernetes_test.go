package kubernetes

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/dapr/components-contrib/secretstores"
	"github.com/stretchr/testify/require"
)

// newStore connects a store to a server that answers like an API server.
func newStore(t *testing.T, h http.HandlerFunc) *Store {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	for name, content := range map[string]string{
		"ca.crt":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		"namespace": "shop\n",
		"token":     "t0ken\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	s := &Store{folder: folder, lookupEnv: func(name string) (string, bool) {
		return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}[name], true
	}}
	require.NoError(t, s.Init(t.Context(), secretstores.Metadata{}))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSecretsOfTheOwnNamespaceAndOfAnother(t *testing.T) {
	s := newStore(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "Bearer t0ken", r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/api/v1/namespaces/shop/secrets/redis":
			_, _ = w.Write([]byte(`{"metadata":{"name":"redis"},"data":{"password":"aHVudGVyMg=="}}`))
		case "/api/v1/namespaces/other/secrets":
			_, _ = w.Write([]byte(`{"items":[{"metadata":{"name":"a"},"data":{"k":"dg=="}},{"metadata":{"name":"empty"}}]}`))
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"kind":"Status","message":"secrets \"no\" is forbidden"}`))
		}
	})

	got, err := s.GetSecret(t.Context(), secretstores.GetSecretRequest{Name: "redis"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"password": "hunter2"}, got.Data)

	bulk, err := s.BulkGetSecret(t.Context(), secretstores.BulkGetSecretRequest{Metadata: map[string]string{"namespace": "other"}})
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]string{"a": {"k": "v"}, "empty": {}}, bulk.Data)

	_, err = s.GetSecret(t.Context(), secretstores.GetSecretRequest{Name: "no"})
	require.EqualError(t, err, `the API server refused: secrets "no" is forbidden`)
}

func TestANameCannotLeaveItsPlace(t *testing.T) {
	s := newStore(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, name := range []string{"../../kube-system/secrets/x", "..", "a/b", "a%2fb", "", "A"} {
		_, err := s.GetSecret(t.Context(), secretstores.GetSecretRequest{Name: name})
		require.ErrorContains(t, err, "is not a name in Kubernetes")
		_, err = s.BulkGetSecret(t.Context(), secretstores.BulkGetSecretRequest{Metadata: map[string]string{"namespace": name + "/"}})
		require.ErrorContains(t, err, "is not a name in Kubernetes")
	}
}

func TestOutsideAPodItSaysSo(t *testing.T) {
	s := &Store{folder: t.TempDir(), lookupEnv: func(string) (string, bool) { return "", false }}
	require.ErrorContains(t, s.Init(t.Context(), secretstores.Metadata{}), "works only in a pod")
}
