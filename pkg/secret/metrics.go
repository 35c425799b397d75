package secret

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Values of the operation label.
const (
	opGet     = "get"
	opBulkGet = "bulk_get"
)

type metrics struct {
	namespace string
	count     *prometheus.CounterVec
	latencies *prometheus.HistogramVec
}

func newMetrics(m *telemetry.Metrics, namespace string) *metrics {
	labels := []string{"component", "namespace", "operation", "success"}
	v := &metrics{
		namespace: namespace,
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_component_secret_count",
			Help: "The number of operations performed on the secret store.",
		}, labels),
		latencies: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dapr_component_secret_latencies",
			Help:    "The latency of the secret store's answers, in milliseconds.",
			Buckets: telemetry.LatencyBuckets,
		}, labels),
	}
	m.MustRegister(v.count, v.latencies)
	return v
}

// record counts an operation of the driver that began at start and ended now.
func (m *metrics) record(store, operation string, start time.Time, err error) {
	elapsed := time.Since(start)
	labels := []string{store, m.namespace, operation, strconv.FormatBool(err == nil)}
	m.count.WithLabelValues(labels...).Inc()
	m.latencies.WithLabelValues(labels...).Observe(float64(elapsed) / float64(time.Millisecond))
}
