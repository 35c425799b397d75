package telemetry

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestMetricsCarryTheAppIDAndAreNotShared(t *testing.T) {
	for _, id := range []string{"a", "b"} {
		m := NewMetrics(id)
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "dapr_test_total"})
		m.MustRegister(c)
		c.Inc()

		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		body, err := io.ReadAll(rec.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), `dapr_test_total{app_id="`+id+`"} 1`)
		require.Contains(t, string(body), "go_goroutines")
	}
}
