package state

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// operation is a value of the operation label.
type operation int

const (
	opGet operation = iota
	opSet
	opDelete
	opBulkGet
	opBulkDelete
	opQuery
	opTransaction
	operationCount
)

var operationNames = [operationCount]string{"get", "set", "delete", "bulk_get", "bulk_delete", "query", "transaction"}

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
			Name: "dapr_component_state_count",
			Help: "The number of operations performed on the state component.",
		}, labels),
		latencies: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dapr_component_state_latencies",
			Help:    "The latency of the response from the state component, in milliseconds.",
			Buckets: telemetry.LatencyBuckets,
		}, labels),
	}
	m.MustRegister(v.count, v.latencies)
	return v
}

// operations are one store's metrics. Looking a metric up by its labels costs
// more than a read from memory does, so each is looked up once, when it is first
// needed.
type operations struct {
	metrics   *metrics
	component string
	observed  [operationCount][2]atomic.Pointer[observed]
}

type observed struct {
	count   prometheus.Counter
	latency prometheus.Observer
}

// record counts an operation of the driver that began at start and ended now.
func (o *operations) record(op operation, start time.Time, err error) {
	elapsed := time.Since(start)
	success := 1
	if err != nil {
		success = 0
	}
	p := &o.observed[op][success]
	m := p.Load()
	if m == nil {
		labels := []string{o.component, o.metrics.namespace, operationNames[op], strconv.FormatBool(err == nil)}
		m = &observed{
			count:   o.metrics.count.WithLabelValues(labels...),
			latency: o.metrics.latencies.WithLabelValues(labels...),
		}
		p.Store(m)
	}
	m.count.Inc()
	m.latency.Observe(float64(elapsed) / float64(time.Millisecond))
}
