package state_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// call sends one request to the block's routes; headers are "name: value".
func call(t *testing.T, b *state.Block, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	httpapi.New(httpapi.Options{Routes: b.Routes(), Log: telemetry.Discard()}).ServeHTTP(w, r)
	return w
}

func TestHTTP(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	answers := func(w *httptest.ResponseRecorder, status int, body string) {
		t.Helper()
		require.Equal(t, status, w.Code, w.Body.String())
		if body == "" {
			require.Empty(t, w.Body.String())
			return
		}
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.JSONEq(t, body, w.Body.String())
	}

	answers(call(t, b, http.MethodGet, "/v1.0/state/s/k", ""), 204, "")
	answers(call(t, b, http.MethodPost, "/v1.0/state/s", `[{"key":"k","value":{"n":1}},{"key":"two words","value":"<&>"},{"key":"null"}]`), 204, "")
	got := call(t, b, http.MethodGet, "/v1.0/state/s/k", "")
	answers(got, 200, `{"n":1}`)
	answers(call(t, b, http.MethodGet, "/v1.0/state/s/two+words?consistency=strong", ""), 200, `"<&>"`)
	answers(call(t, b, http.MethodGet, "/v1.0/state/s/null", ""), 200, `null`)
	answers(call(t, b, http.MethodPut, "/v1.0/state/s", `[]`), 204, "")

	etag := got.Header().Get("ETag")
	require.NotEmpty(t, etag)
	answers(call(t, b, http.MethodPost, "/v1.0/state/s", `[{"key":"k","value":2,"etag":"stale"}]`), 409,
		`{"errorCode":"ERR_STATE_SAVE","message":"failed to save state in state store s: possible etag mismatch. error from state store: state etag not match for key=app||k: current=`+etag+`, expect=stale"}`)
	answers(call(t, b, http.MethodPost, "/v1.0/state/s", `[{"key":"k","value":2,"options":{"concurrency":"first-write"}}]`), 409,
		`{"errorCode":"ERR_STATE_SAVE","message":"failed to save state in state store s: possible etag mismatch. error from state store: item already exists and no etag was passed"}`)
	require.Equal(t, 409, call(t, b, http.MethodDelete, "/v1.0/state/s/k?concurrency=first-write", "", "If-Match: stale").Code)
	answers(call(t, b, http.MethodDelete, "/v1.0/state/s/k?concurrency=first-write&consistency=strong", "", "If-Match: "+etag), 204, "")
	answers(call(t, b, http.MethodGet, "/v1.0/state/s/k", ""), 204, "")
	answers(call(t, b, http.MethodDelete, "/v1.0/state/s/k", ""), 204, "")

	answers(call(t, b, http.MethodPost, "/v1.0/state/s?metadata.ttlInSeconds=100", `[{"key":"short","value":1,"metadata":{"ttlInSeconds":"5"}}]`), 204, "")
	expires, err := time.Parse(time.RFC3339, call(t, b, http.MethodGet, "/v1.0/state/s/short", "").Header().Get("metadata.ttlExpireTime"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(100*time.Second), expires, 20*time.Second, "the query's metadata wins")
}

func TestHTTPBulkAndTransactions(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	transaction := `{"operations":[
		{"operation":"upsert","request":{"key":"a","value":{"n":1},"metadata":{"ttlInSeconds":"100"}}},
		{"operation":"upsert","request":{"key":"b","value":"b"}},
		{"operation":"delete","request":{"key":"c"}}],"metadata":{"x":"y"}}`
	require.Equal(t, 204, call(t, b, http.MethodPost, "/v1.0/state/s/transaction", transaction).Code)
	_, err := state.NewRPC(b).SaveState(t.Context(), &runtimev1.SaveStateRequest{StoreName: "s", States: []*commonv1.StateItem{{Key: "bytes", Value: []byte{0, 255}}}})
	require.NoError(t, err)

	w := call(t, b, http.MethodPost, "/v1.0/state/s/bulk", `{"keys":["b","missing","bytes"],"parallelism":1}`)
	require.Equal(t, 200, w.Code)
	etag := func(key string) string { return get(t, b, "s", key).ETag }
	require.JSONEq(t, `[{"key":"b","data":"b","etag":"`+etag("b")+`"},{"key":"missing"},{"key":"bytes","data":"AP8=","etag":"`+etag("bytes")+`"}]`, w.Body.String())
	w = call(t, b, http.MethodPut, "/v1.0/state/s/bulk", `{}`)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "[]", w.Body.String())
	require.NotEmpty(t, get(t, b, "s", "a").Metadata["ttlExpireTime"])

	w = call(t, b, http.MethodPost, "/v1.0/state/s/transaction", `{"operations":[{"operation":"increment","request":{"key":"a"}}]}`)
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"errorCode":"ERR_NOT_SUPPORTED_STATE_OPERATION","message":"operation \"increment\" is not one of upsert, delete"}`, w.Body.String())
	require.Equal(t, 204, call(t, b, http.MethodPost, "/v1.0/state/s/transaction", `{}`).Code)
}

func TestHTTPQuery(t *testing.T) {
	b := newBlock(t, component.Spec{Name: "q", Type: "state.queried", Version: "v1"})
	w := call(t, b, http.MethodPost, "/v1.0-alpha1/state/q/query?metadata.a=b", `{"page":{"limit":1}}`)
	require.Equal(t, 200, w.Code, w.Body.String())
	require.JSONEq(t, `{"results":[{"key":"found","data":{"a":1},"etag":"1"}],"token":"next","metadata":{"a":"b"}}`, w.Body.String())
	require.Equal(t, 204, call(t, b, http.MethodPut, "/v1.0-alpha1/state/q/query", `{}`).Code)
}

func TestHTTPMalformed(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	for _, tc := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1.0/state/s", `{"key":"k"}`},
		{http.MethodPost, "/v1.0/state/s", `[{"value":1}]`},
		{http.MethodPost, "/v1.0/state/s", `[{"key":"a||b","value":1}]`},
		{http.MethodGet, "/v1.0/state/s/a%7C%7Cb", ``},
		{http.MethodGet, "/v1.0/state/s/k?consistency=weak", ``},
		{http.MethodDelete, "/v1.0/state/s/k?concurrency=none", ``},
		{http.MethodPost, "/v1.0/state/s/bulk", `[]`},
		{http.MethodPost, "/v1.0/state/s/transaction", `[]`},
		{http.MethodPost, "/v1.0/state", `no json`},
	} {
		w := call(t, b, tc.method, tc.path, tc.body)
		require.Equal(t, 400, w.Code, "%v: %s", tc, w.Body)
		require.Contains(t, w.Body.String(), `"errorCode":"ERR_MALFORMED_REQUEST"`)
	}
	w := call(t, b, http.MethodPost, "/v1.0/state/unknown", `[]`)
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"errorCode":"ERR_STATE_STORE_NOT_FOUND","message":"state store unknown is not found; known: s","details":[
		{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"DAPR_STATE_NOT_FOUND","domain":"dapr.io"},
		{"@type":"type.googleapis.com/google.rpc.ResourceInfo","resource_type":"state","resource_name":"unknown"}]}`, w.Body.String())
}

// The routes of the first version of the protocol name no store.
func TestHTTPDefaultStore(t *testing.T) {
	const order = `[{"key":"order","value":{"orderId":42}}]`
	works := func(t *testing.T, b *state.Block, store string) {
		t.Helper()
		require.Equal(t, 204, call(t, b, http.MethodPost, "/v1.0/state", order).Code)
		require.JSONEq(t, `{"orderId":42}`, string(get(t, b, store, "order").Data))
		w := call(t, b, http.MethodGet, "/v1.0/state/order", "")
		require.Equal(t, 200, w.Code)
		require.JSONEq(t, `{"orderId":42}`, w.Body.String())
		require.NotEmpty(t, w.Header().Get("ETag"))
		require.Equal(t, 409, call(t, b, http.MethodDelete, "/v1.0/state/order", "", "If-Match: stale").Code)
		require.Equal(t, 204, call(t, b, http.MethodDelete, "/v1.0/state/order", "").Code)
		require.Equal(t, 204, call(t, b, http.MethodGet, "/v1.0/state/order", "").Code)
	}
	t.Run("the only one", func(t *testing.T) { works(t, newBlock(t, inMemory("mine")), "mine") })
	t.Run("the one named statestore", func(t *testing.T) {
		works(t, newBlock(t, inMemory("a"), inMemory("statestore"), inMemory("z")), "statestore")
	})
	t.Run("a key named like a store", func(t *testing.T) {
		b := newBlock(t, inMemory("mine"))
		require.Equal(t, 204, call(t, b, http.MethodPost, "/v1.0/state/mine", `[{"key":"mine","value":1}]`).Code)
		require.Equal(t, "1", call(t, b, http.MethodGet, "/v1.0/state/mine", "").Body.String())
	})
	t.Run("none of several", func(t *testing.T) {
		b := newBlock(t, inMemory("a"), inMemory("b"))
		for _, w := range []*httptest.ResponseRecorder{
			call(t, b, http.MethodPost, "/v1.0/state", order),
			call(t, b, http.MethodGet, "/v1.0/state/order", ""),
			call(t, b, http.MethodDelete, "/v1.0/state/order", ""),
		} {
			require.Equal(t, 400, w.Code)
			require.Contains(t, w.Body.String(), "there are several: a, b;")
		}
	})
	t.Run("none", func(t *testing.T) {
		w := call(t, newBlock(t), http.MethodGet, "/v1.0/state/order", "")
		require.Equal(t, 500, w.Code)
		require.Contains(t, w.Body.String(), "ERR_STATE_STORE_NOT_CONFIGURED")
	})
}
