package state_test

import (
	"net/http"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
)

var (
	key16 = strings.Repeat("a1", 16)
	key24 = strings.Repeat("b2", 24)
	key32 = strings.Repeat("c3", 32)
)

func encrypted(primary, secondary string) component.Spec {
	metadata := map[string]string{"primaryEncryptionKey": primary}
	if secondary != "" {
		metadata["secondaryEncryptionKey"] = secondary
	}
	return spiedOn("s", metadata, "primaryEncryptionKey", "secondaryEncryptionKey")
}

func TestEncryption(t *testing.T) {
	for _, key := range []string{key16, key24, key32} {
		b := newBlock(t, encrypted(key, ""))
		require.NoError(t, b.Save(t.Context(), "s", save("k", `{"card":"4111"}`)))
		require.JSONEq(t, `{"card":"4111"}`, string(get(t, b, "s", "k").Data))

		raw := spy(t, "s").raw(t, "app||k")
		require.Regexp(t, `^[A-Za-z0-9+/]+=*\|\|[0-9a-f]{8}$`, raw)
		require.NotContains(t, raw, "card")
		require.NoError(t, b.Save(t.Context(), "s", save("again", `{"card":"4111"}`)))
		require.NotEqual(t, raw, spy(t, "s").raw(t, "app||again"), "every value has a nonce of its own")

		items, err := b.BulkGet(t.Context(), "s", []string{"k", "none"}, 0, nil)
		require.NoError(t, err)
		require.JSONEq(t, `{"card":"4111"}`, string(items[0].Data))
		require.Empty(t, items[1].Data)
	}
}

// Both faces encrypt the same bytes: what one writes the other reads as it was.
func TestEncryptionThroughBothFaces(t *testing.T) {
	b := newBlock(t, encrypted(key32, ""))
	rpc := state.NewRPC(b)
	value := []byte(`{"b": [1, "two"], "a": "<&>"}`)

	require.Equal(t, http.StatusNoContent, call(t, b, http.MethodPost, "/v1.0/state/s", `[{"key":"http","value":`+string(value)+`}]`).Code)
	_, err := rpc.SaveState(t.Context(), &runtimev1.SaveStateRequest{StoreName: "s", States: []*commonv1.StateItem{{Key: "grpc", Value: value}}})
	require.NoError(t, err)
	_, err = rpc.ExecuteStateTransaction(t.Context(), &runtimev1.ExecuteStateTransactionRequest{StoreName: "s", Operations: []*runtimev1.TransactionalStateOperation{
		{OperationType: "upsert", Request: &commonv1.StateItem{Key: "tx", Value: value}},
	}})
	require.NoError(t, err)

	for _, key := range []string{"http", "grpc", "tx"} {
		require.Equal(t, value, call(t, b, http.MethodGet, "/v1.0/state/s/"+key, "").Body.Bytes())
		got, err := rpc.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: "s", Key: key})
		require.NoError(t, err)
		require.Equal(t, value, got.GetData())
	}
}

func TestKeyRotation(t *testing.T) {
	b := newBlock(t, encrypted(key16, ""))
	require.NoError(t, b.Save(t.Context(), "s", save("k", `"old"`)))
	stored := spy(t, "s").raw(t, "app||k")

	// move puts a stored value into a store with other keys.
	move := func(t *testing.T, value string, spec component.Spec) *state.Block {
		t.Helper()
		rotated := newBlock(t, spec)
		spy(t, "s").put(t, "app||k", value)
		return rotated
	}
	t.Run("as the secondary key", func(t *testing.T) {
		rotated := move(t, stored, encrypted(key32, key16))
		require.Equal(t, `"old"`, string(get(t, rotated, "s", "k").Data))
		require.NoError(t, rotated.Save(t.Context(), "s", save("k", `"new"`)))
		require.NotEqual(t, keyName(stored), keyName(spy(t, "s").raw(t, "app||k")))
	})
	t.Run("under another name", func(t *testing.T) {
		renamed := strings.TrimSuffix(stored, keyName(stored)) + "secret-of-mine"
		require.Equal(t, `"old"`, string(get(t, move(t, renamed, encrypted(key16, "")), "s", "k").Data))
	})
	for name, value := range map[string]string{
		"neither":       stored,
		"not encrypted": `"plain"`,
		"not base64":    `"plain||text"`,
		"too short":     "AAAA||" + keyName(stored),
	} {
		t.Run(name, func(t *testing.T) {
			rotated := move(t, value, encrypted(key32, key24))
			_, err := rotated.Get(t.Context(), "s", state.GetRequest{Key: "k"})
			requireError(t, err, "ERR_STATE_GET", http.StatusInternalServerError, codes.Internal, "the stored value")
			require.NotContains(t, err.Error(), "old")
			items, err := rotated.BulkGet(t.Context(), "s", []string{"k"}, 0, nil)
			require.NoError(t, err)
			require.Contains(t, items[0].Err, "the stored value")
		})
	}
}

func TestKeyInPlainSightDoesNotEncrypt(t *testing.T) {
	b := newBlock(t, spiedOn("s", map[string]string{"primaryEncryptionKey": key32}))
	require.NoError(t, b.Save(t.Context(), "s", save("k", `"readable"`)))
	require.Equal(t, `"readable"`, spy(t, "s").raw(t, "app||k"))
}

func TestEncryptedStoreHasNoQueries(t *testing.T) {
	spec := encrypted(key32, "")
	spec.Type = "state.queried"
	_, err := newBlock(t, spec).Query(t.Context(), "s", []byte(`{}`), nil)
	requireError(t, err, "ERR_STATE_STORE_NOT_SUPPORTED", http.StatusInternalServerError, codes.Unimplemented, "its values are encrypted")
}

func keyName(stored string) string { return stored[strings.LastIndex(stored, "||")+2:] }
