package components

import (
	"testing"

	contrib "github.com/dapr/components-contrib/nameresolution"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/nameresolution"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func TestNameResolution(t *testing.T) {
	for _, tt := range []struct {
		driver        string
		configuration map[string]any
		want          string
	}{
		{"kubernetes", nil, "a-dapr.ns.svc.cluster.local:50002"},
		{"dns", map[string]any{"clusterDomain": "here"}, "a-dapr.ns.svc.here:50002"},
		{"dns", map[string]any{"template": "{{.ID}}.internal:{{.Port}}"}, "a.internal:50002"},
		{"nameformat", map[string]any{"format": "{appid}.example:1"}, "a.example:1"},
	} {
		t.Run(tt.driver, func(t *testing.T) {
			var configuration any
			if tt.configuration != nil {
				configuration = tt.configuration
			}
			r, err := nameresolution.Open(t.Context(), nameresolution.Options{Driver: tt.driver, Configuration: configuration}, telemetry.Discard())
			require.NoError(t, err)
			got, err := r.ResolveID(t.Context(), contrib.ResolveRequest{ID: "a", Namespace: "ns", Port: 50002})
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			require.NoError(t, r.Close())
		})
	}
}

// On a machine without a network that carries multicast, mDNS finds nobody: the
// test is then over after the announcement.
func TestMDNS(t *testing.T) {
	me := contrib.Instance{AppID: "mdns-test", Address: "127.0.0.1", DaprInternalPort: 50002}
	r, err := nameresolution.Open(t.Context(), nameresolution.Options{Driver: "mdns", Instance: me}, telemetry.Discard())
	if err != nil {
		t.Skip("no multicast here: ", err)
	}
	defer func() { require.NoError(t, r.Close()) }()
	got, err := r.ResolveID(t.Context(), contrib.ResolveRequest{ID: "mdns-test"})
	if err != nil {
		t.Skip("no multicast here: ", err)
	}
	require.Equal(t, "127.0.0.1:50002", got)
}
