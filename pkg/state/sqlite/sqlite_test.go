package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/state"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func properties(connectionString string) state.Metadata {
	return state.Metadata{Base: metadata.Base{Properties: map[string]string{"ConnectionString": connectionString}}}
}

func TestMissingFolder(t *testing.T) {
	s := New(telemetry.ForDriver(telemetry.Discard()))
	missing := filepath.Join(t.TempDir(), "missing")
	err := s.Init(t.Context(), properties("file:"+filepath.Join(missing, "state.db")+"?_pragma=synchronous(NORMAL)"))
	require.ErrorContains(t, err, "the folder "+missing+" of metadata connectionString does not exist")
	require.NoError(t, s.Close())
}

func TestFolder(t *testing.T) {
	for connection, want := range map[string]string{
		"state.db": ".", "data/state.db": "data", "file:data/with%20space/state.db?mode=rw": "data/with space",
		":memory:": "", "file::memory:?cache=shared": "", "file:///data/state.db": "", "%zz": "", "": "",
	} {
		require.Equal(t, filepath.FromSlash(want), folder(properties(connection)), connection)
	}
}

// A caller that waits for its turn leaves when its request ends.
func TestWaitEnds(t *testing.T) {
	s := New(telemetry.ForDriver(telemetry.Discard())).(*Store)
	require.NoError(t, s.Init(t.Context(), properties(filepath.Join(t.TempDir(), "state.db"))))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	s.writer <- struct{}{} // somebody writes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Set(ctx, &state.SetRequest{Key: "k", Value: 1}), context.Canceled)
	require.ErrorIs(t, s.Delete(ctx, &state.DeleteRequest{Key: "k"}), context.Canceled)
	require.ErrorIs(t, s.Multi(ctx, &state.TransactionalStateRequest{}), context.Canceled)
	<-s.writer
	require.NoError(t, s.Set(t.Context(), &state.SetRequest{Key: "k", Value: 1}))
}
