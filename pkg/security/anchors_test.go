package security_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func newBundle(t *testing.T) authority.Bundle {
	t.Helper()
	b, err := authority.New(authority.Options{ID: security.ID{TrustDomain: "td", Namespace: "ns", AppID: security.Sentry}, Now: time.Now()})
	require.NoError(t, err)
	return b
}

func TestAnchorsOfTheEnvironment(t *testing.T) {
	b := newBundle(t)
	a, err := security.NewAnchors(b.Anchors)
	require.NoError(t, err)
	require.Len(t, a.Certificates(), 1)
	require.Equal(t, b.Anchors, a.PEM())
	require.NoError(t, a.Run(t.Context(), telemetry.Discard()), "there is nothing to watch")

	_, err = security.NewAnchors(nil)
	require.EqualError(t, err, "trust anchors: there are none")
	_, err = security.NewAnchors([]byte("x"))
	require.ErrorContains(t, err, "trust anchors: not certificates in PEM")
}

func TestAnchorsOfAFileThatComesLate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	a := security.AnchorsFromFile(file)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, telemetry.Discard()) }()
	changed := a.Changed()
	require.Empty(t, a.Certificates())
	require.NoError(t, os.WriteFile(file, []byte("\n"), 0o600), "the chart makes it empty")

	b := newBundle(t)
	require.NoError(t, os.WriteFile(file, b.Anchors, 0o600))
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the file was not read")
	}
	require.Equal(t, b.Anchors, a.PEM())
	cancel()
	require.NoError(t, <-done)
}
