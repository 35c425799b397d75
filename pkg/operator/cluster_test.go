package operator

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// Helm creates the Configuration after the Deployment.
func TestTheConfigurationMayComeLater(t *testing.T) {
	c := newCluster(t, nil)
	config := object(t, `{"apiVersion":"dapr.io/v1alpha1","kind":"Configuration","metadata":{"namespace":"dapr-system","name":"daprsystem"},
		"spec":{"mtls":{"sentryAddress":"sentry:443"}}}`)
	looks := 0
	fake := c.dynamic.(*dynamicfake.FakeDynamicClient)
	fake.PrependReactor("get", "configurations", func(clienttesting.Action) (bool, runtime.Object, error) {
		if looks++; looks == 2 {
			err := fake.Tracker().Create(gvr("configurations", "v1alpha1"), config, "dapr-system")
			return err != nil, nil, err
		}
		return false, nil, nil
	})
	read, err := c.configuration(t.Context(), "dapr-system", "daprsystem")
	require.NoError(t, err)
	require.Equal(t, "sentry:443", read.Spec.MTLS.SentryAddress)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.configuration(ctx, "dapr-system", "other")
	require.ErrorContains(t, err, `read Configuration dapr-system/other: configurations.dapr.io "other" not found`)
}
