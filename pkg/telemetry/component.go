package telemetry

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ComponentMetrics count what one building block asks of its components:
// dapr_component_BLOCK_count and dapr_component_BLOCK_latencies.
type ComponentMetrics struct {
	namespace  string
	operations []string
	count      *prometheus.CounterVec
	latencies  *prometheus.HistogramVec
}

// NewComponentMetrics registers the metrics of a block such as "state".
// namespace is the app's, and operations are the values of that label, which
// Record names by their index.
func NewComponentMetrics(m *Metrics, block, namespace string, operations ...string) *ComponentMetrics {
	labels := []string{"component", "namespace", "operation", "success"}
	c := &ComponentMetrics{
		namespace: namespace, operations: operations,
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_component_" + block + "_count",
			Help: "The number of operations performed on the " + block + " component.",
		}, labels),
		latencies: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dapr_component_" + block + "_latencies",
			Help:    "The latency of the response from the " + block + " component, in milliseconds.",
			Buckets: LatencyBuckets,
		}, labels),
	}
	m.MustRegister(c.count, c.latencies)
	return c
}

// Of returns the metrics of one component.
func (c *ComponentMetrics) Of(component string) *ComponentOperations {
	return &ComponentOperations{metrics: c, component: component, observed: make([][2]atomic.Pointer[observed], len(c.operations))}
}

// ComponentOperations are one component's metrics. Looking a metric up by its
// labels costs more than a read from memory does, so each is looked up once,
// when it is first needed. They are safe for concurrent use.
type ComponentOperations struct {
	metrics   *ComponentMetrics
	component string
	observed  [][2]atomic.Pointer[observed] // by operation and success
}

type observed struct {
	count   prometheus.Counter
	latency prometheus.Observer
}

// Record counts an operation of the driver that began at start and ended now.
func (o *ComponentOperations) Record(operation int, start time.Time, err error) {
	elapsed := time.Since(start)
	success := 1
	if err != nil {
		success = 0
	}
	p := &o.observed[operation][success]
	m := p.Load()
	if m == nil {
		labels := []string{o.component, o.metrics.namespace, o.metrics.operations[operation], strconv.FormatBool(err == nil)}
		m = &observed{
			count:   o.metrics.count.WithLabelValues(labels...),
			latency: o.metrics.latencies.WithLabelValues(labels...),
		}
		p.Store(m)
	}
	m.count.Inc()
	m.latency.Observe(float64(elapsed) / float64(time.Millisecond))
}
