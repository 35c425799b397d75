package state_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/state"
)

const order = `{"orderId":42,"items":["coffee","cake"]}`

func benchBlock(b *testing.B) *state.Block {
	b.Helper()
	block := newBlock(b, inMemory("statestore"))
	require.NoError(b, block.Save(b.Context(), "statestore", save("order", order)))
	b.ReportAllocs()
	b.ResetTimer()
	return block
}

func BenchmarkGet(b *testing.B) {
	block, ctx := benchBlock(b), b.Context()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := block.Get(ctx, "statestore", state.GetRequest{Key: "order"}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGetRPC(b *testing.B) {
	rpc, ctx := state.NewRPC(benchBlock(b)), b.Context()
	request := &runtimev1.GetStateRequest{StoreName: "statestore", Key: "order"}
	for b.Loop() {
		if _, err := rpc.GetState(ctx, request); err != nil {
			b.Fatal(err)
		}
	}
}

// discarded is a response that keeps nothing, so that the handler alone is
// measured.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header       { return d.header }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}

func benchHTTP(b *testing.B, handler http.Handler) {
	b.Helper()
	request := httptest.NewRequest(http.MethodGet, "/v1.0/state/statestore/order", nil)
	response := discarded{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(response.header)
		handler.ServeHTTP(response, request)
	}
}

func BenchmarkGetHTTP(b *testing.B) {
	benchHTTP(b, httpapi.New(httpapi.Options{Routes: benchBlock(b).Routes()}))
}

// BenchmarkGetHTTPBare is what net/http alone needs for the same answer.
func BenchmarkGetHTTPBare(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1.0/state/{store}/{key}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(order))
	})
	benchHTTP(b, mux)
}

func BenchmarkSave(b *testing.B) {
	block, ctx := benchBlock(b), b.Context()
	for b.Loop() {
		if err := block.Save(ctx, "statestore", save("order", order)); err != nil {
			b.Fatal(err)
		}
	}
}
