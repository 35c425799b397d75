// Package stores runs the conformance suite of state stores against each one's
// real server.
package stores

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/component"
	_ "github.com/hyperdapr/dapr/pkg/components" // the drivers
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func spec(typ, version string, metadata map[string]string) component.Spec {
	return component.Spec{Name: "statestore", Type: typ, Version: version, Metadata: metadata}
}

// open returns a block with the store, which ends with the test.
func open(t *testing.T, s component.Spec) *state.Block {
	t.Helper()
	b := state.New(state.Options{AppID: "app", Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("app")})
	require.NoError(t, b.Open(t.Context(), s))
	t.Cleanup(func() { require.NoError(t, b.Close(context.WithoutCancel(t.Context()), s.Name)) })
	return b
}
