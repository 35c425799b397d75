package grpcapi

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Metrics are the dapr_grpc_io_server_… metrics of one sidecar.
type Metrics struct {
	completed *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	received  *prometheus.HistogramVec
	sent      *prometheus.HistogramVec

	mu     sync.RWMutex
	series map[seriesKey]*series
}

type seriesKey struct {
	method string
	code   codes.Code
}

// series are the metrics of one set of labels, looked up once.
type series struct {
	completed               prometheus.Counter
	latency, received, sent prometheus.Observer
}

// NewMetrics registers the metrics. The buckets are in milliseconds; nil is the
// protocol's default.
func NewMetrics(reg prometheus.Registerer, latencyBuckets []float64) *Metrics {
	if latencyBuckets == nil {
		latencyBuckets = telemetry.LatencyBuckets
	}
	const method, code = "grpc_server_method", "grpc_server_status"
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dapr_grpc_io_server_" + name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		completed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_grpc_io_server_completed_rpcs", Help: "gRPC calls served.",
		}, []string{method, code}),
		latency:  histogram("server_latency", "gRPC call latency in milliseconds.", latencyBuckets, method, code),
		received: histogram("received_bytes_per_rpc", "Bytes received in a gRPC call.", telemetry.SizeBuckets, method),
		sent:     histogram("sent_bytes_per_rpc", "Bytes sent in a gRPC call.", telemetry.SizeBuckets, method),
		series:   make(map[seriesKey]*series),
	}
	reg.MustRegister(m.completed, m.latency, m.received, m.sent)
	return m
}

func (m *Metrics) observe(method string, err error, start time.Time, received, sent int) {
	s := m.of(seriesKey{method, status.Code(err)})
	s.completed.Inc()
	s.latency.Observe(float64(time.Since(start)) / float64(time.Millisecond))
	s.received.Observe(float64(received))
	s.sent.Observe(float64(sent))
}

func (m *Metrics) of(key seriesKey) *series {
	m.mu.RLock()
	s := m.series[key]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s = m.series[key]; s == nil {
		s = &series{
			completed: m.completed.WithLabelValues(key.method, key.code.String()),
			latency:   m.latency.WithLabelValues(key.method, key.code.String()),
			received:  m.received.WithLabelValues(key.method),
			sent:      m.sent.WithLabelValues(key.method),
		}
		m.series[key] = s
	}
	return s
}
