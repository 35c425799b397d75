package state_test

import (
	"net/http"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
)

func TestGRPC(t *testing.T) {
	b := newBlock(t, inMemory("s"))
	rpc, ctx := state.NewRPC(b), t.Context()
	firstWrite := &commonv1.StateOptions{
		Concurrency: commonv1.StateOptions_CONCURRENCY_FIRST_WRITE, Consistency: commonv1.StateOptions_CONSISTENCY_STRONG,
	}
	states := func(items ...*commonv1.StateItem) []*commonv1.StateItem { return items }

	missing, err := rpc.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "s", Key: "k"})
	require.NoError(t, err)
	require.Empty(t, missing.GetData())

	_, err = rpc.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "s", States: states(
		&commonv1.StateItem{Key: "k", Value: []byte("\x00 any bytes"), Options: firstWrite, Metadata: map[string]string{"ttlInSeconds": "100"}},
		&commonv1.StateItem{Key: "json", Value: []byte(`{ "a": 1 }`), Metadata: map[string]string{"contentType": "application/json; charset=utf-8"}},
		&commonv1.StateItem{Key: "not json", Value: []byte(`{`), Metadata: map[string]string{"contentType": "application/json"}},
	)})
	require.NoError(t, err)
	got, err := rpc.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "s", Key: "k", Consistency: commonv1.StateOptions_CONSISTENCY_EVENTUAL})
	require.NoError(t, err)
	require.Equal(t, "\x00 any bytes", string(got.GetData()))
	require.NotEmpty(t, got.GetEtag())
	require.NotEmpty(t, got.GetMetadata()["ttlExpireTime"])
	require.JSONEq(t, `{"a":1}`, string(get(t, b, "s", "json").Data))
	require.Equal(t, `{`, string(get(t, b, "s", "not json").Data))

	_, err = rpc.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "s", States: states(&commonv1.StateItem{Key: "k", Options: firstWrite})})
	requireError(t, err, "ERR_STATE_SAVE", http.StatusConflict, codes.Aborted, "")
	_, err = rpc.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Etag: &commonv1.Etag{Value: "stale"}})
	requireError(t, err, "ERR_STATE_DELETE", http.StatusConflict, codes.Aborted, "")
	lastWrite := &commonv1.StateOptions{Concurrency: commonv1.StateOptions_CONCURRENCY_LAST_WRITE}
	_, err = rpc.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Etag: &commonv1.Etag{Value: "stale"}, Options: lastWrite})
	require.NoError(t, err)

	_, err = rpc.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{StoreName: "s", Operations: []*runtimev1.TransactionalStateOperation{
		{OperationType: "upsert", Request: &commonv1.StateItem{Key: "a", Value: []byte("1")}},
		{OperationType: "delete", Request: &commonv1.StateItem{Key: "json"}},
	}})
	require.NoError(t, err)
	bulk, err := rpc.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: "s", Keys: []string{"a", "json"}, Parallelism: 2})
	require.NoError(t, err)
	require.Len(t, bulk.GetItems(), 2)
	require.Equal(t, "1", string(bulk.GetItems()[0].GetData()))
	require.Empty(t, bulk.GetItems()[1].GetData())

	_, err = rpc.DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{StoreName: "s", States: states(&commonv1.StateItem{Key: "a"}, &commonv1.StateItem{Key: "not json"})})
	require.NoError(t, err)
	require.Empty(t, get(t, b, "s", "a").Data)
}

func TestGRPCQuery(t *testing.T) {
	rpc := state.NewRPC(newBlock(t, component.Spec{Name: "q", Type: "state.queried", Version: "v1"}))
	answer, err := rpc.QueryStateAlpha1(t.Context(), &runtimev1.QueryStateRequest{StoreName: "q", Query: `{"page":{"limit":1}}`})
	require.NoError(t, err)
	require.Equal(t, "next", answer.GetToken())
	require.Equal(t, "found", answer.GetResults()[0].GetKey())
}

// A number that the contract does not know must not pass for a default.
func TestGRPCUnknownOptions(t *testing.T) {
	rpc := state.NewRPC(newBlock(t, inMemory("s")))
	for part, options := range map[string]*commonv1.StateOptions{
		`concurrency "7"`: {Concurrency: 7},
		`consistency "8"`: {Consistency: 8},
	} {
		_, err := rpc.SaveState(t.Context(), &runtimev1.SaveStateRequest{StoreName: "s", States: []*commonv1.StateItem{{Key: "k", Options: options}}})
		requireError(t, err, "ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, part)
	}
}
