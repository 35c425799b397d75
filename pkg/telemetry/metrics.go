package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// LatencyBuckets are the protocol's default latency buckets, in milliseconds.
var LatencyBuckets = []float64{1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800, 1000, 2000, 5000, 10000, 20000, 50000, 100000}

// SizeBuckets are the protocol's default size buckets, in bytes.
var SizeBuckets = []float64{1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30, 4 << 30}

// Metrics is one process role's metrics. Blocks register their own collectors,
// named dapr_…, on the embedded Registerer, which adds the app_id label.
type Metrics struct {
	prometheus.Registerer
	gatherer prometheus.Gatherer
}

// NewMetrics returns an empty set with the Go runtime's and the process's
// collectors. appID, when not empty, labels everything registered later.
func NewMetrics(appID string) *Metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &Metrics{Registerer: reg, gatherer: reg}
	if appID != "" {
		m.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"app_id": appID}, reg)
	}
	return m
}

// Handler serves the metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{})
}
