package operator

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
)

// Helm creates the Configuration after the Deployment.
func TestTheConfigurationMayComeLater(t *testing.T) {
	c := startCluster(t)
	path := "/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations"
	var looked atomic.Bool
	c.api.Answer(http.MethodGet, path+"/daprsystem", func(w http.ResponseWriter, r *http.Request) {
		if !looked.Swap(true) {
			kubeapitest.Refuse(http.StatusNotFound, "NotFound", "not yet")(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"apiVersion":"dapr.io/v1alpha1","kind":"Configuration","metadata":{"name":"daprsystem"},"spec":{"mtls":{"sentryAddress":"sentry:443"}}}`)
	})
	read, err := c.configuration(t.Context(), "dapr-system", "daprsystem")
	require.NoError(t, err)
	require.Equal(t, "sentry:443", read.Spec.MTLS.SentryAddress)
	require.True(t, looked.Load())

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.configuration(ctx, "dapr-system", "other")
	require.ErrorContains(t, err, `read Configuration dapr-system/other: `)
	require.ErrorContains(t, err, `"other" not found`)
}
