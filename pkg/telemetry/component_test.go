package telemetry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func TestComponentMetrics(t *testing.T) {
	m := telemetry.NewMetrics("app")
	c := telemetry.NewComponentMetrics(m, "toy", "ns", "get", "set")
	a, b := c.Of("a"), c.Of("b")
	a.Record(0, time.Now(), nil)
	a.Record(0, time.Now().Add(-7*time.Millisecond), nil)
	a.Record(0, time.Now(), errors.New("broken"))
	b.Record(1, time.Now(), nil)

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	text := rec.Body.String()
	for _, line := range []string{
		`dapr_component_toy_count{app_id="app",component="a",namespace="ns",operation="get",success="true"} 2`,
		`dapr_component_toy_count{app_id="app",component="a",namespace="ns",operation="get",success="false"} 1`,
		`dapr_component_toy_count{app_id="app",component="b",namespace="ns",operation="set",success="true"} 1`,
		`dapr_component_toy_latencies_bucket{app_id="app",component="a",namespace="ns",operation="get",success="true",le="6"} 1`,
		`dapr_component_toy_latencies_count{app_id="app",component="a",namespace="ns",operation="get",success="true"} 2`,
	} {
		require.Contains(t, text, line)
	}
}
