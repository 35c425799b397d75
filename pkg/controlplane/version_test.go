package controlplane

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/version"
)

// TestEverythingHasTheBuildsVersion is also run by test/house, which stamps a
// version into this test as the build does and says which in WANT_VERSION.
func TestEverythingHasTheBuildsVersion(t *testing.T) {
	want := version.Version()
	if stamped := os.Getenv("WANT_VERSION"); stamped != "" {
		require.Equal(t, stamped, version.Version(), "the build stamps it")
	}
	c := Of(new(kubernetes.Client))
	require.Equal(t, want, c.Version)

	chart, err := c.chart()
	require.NoError(t, err)
	values := helm.Values{}
	c.setTag(values)
	rendered, err := chart.Template(t.Context(), helm.Target{Release: release, Namespace: DefaultNamespace}, values)
	require.NoError(t, err)
	require.Equal(t, want, chart.Version())
	require.Equal(t, want, rendered.Version, "the chart's appVersion")
	objects, err := kubernetes.DecodeObjects([]byte(rendered.Manifest))
	require.NoError(t, err)
	images := 0
	for _, o := range objects {
		for of, image := range imagesOf(o) {
			require.Regexp(t, `/dapr:`+want+`$`, image, of)
			images++
		}
	}
	require.GreaterOrEqual(t, images, 4)

	definitions, err := c.definitions()
	require.NoError(t, err)
	require.NotEmpty(t, definitions)
	for _, d := range definitions {
		require.Equal(t, want, d.GetLabels()[versionLabel], d.GetName())
		require.Equal(t, "dapr", d.GetLabels()["app.kubernetes.io/part-of"], "its other labels stay")
	}
}
