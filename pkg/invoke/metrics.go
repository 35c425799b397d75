package invoke

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const (
	unaryType  = "unary"
	streamType = "stream"
)

// metrics are the protocol's, with the series of every app looked up once.
type metrics struct {
	reqSent, reqReceived, resSent, resReceived *prometheus.CounterVec
	latency                                    *prometheus.HistogramVec

	callees memo[string, *calleeMetrics]
	callers memo[string, *callerMetrics]

	aclMetrics
}

func newMetrics(reg *telemetry.Metrics) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dapr_runtime_service_invocation_" + name, Help: help}, labels)
	}
	m := &metrics{
		reqSent:     counter("req_sent_total", "Requests sent to other apps.", "dst_app_id", "type"),
		reqReceived: counter("req_recv_total", "Requests received from other apps.", "src_app_id"),
		resSent:     counter("res_sent_total", "Responses sent to other apps.", "dst_app_id", "status"),
		resReceived: counter("res_recv_total", "Responses received from other apps.", "src_app_id", "status", "type"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dapr_runtime_service_invocation_res_recv_latency_ms", Help: "Milliseconds from a request to another app to its response.",
			Buckets: telemetry.LatencyBuckets,
		}, []string{"src_app_id", "status"}),
		aclMetrics: newACLMetrics(reg),
	}
	if reg != nil {
		reg.MustRegister(m.reqSent, m.reqReceived, m.resSent, m.resReceived, m.latency)
	}
	return m
}

// calleeMetrics are those of calls of one app.
type calleeMetrics struct {
	sentUnary prometheus.Counter
	results   memo[int, result]
	newResult func(status int) result
}

type result struct {
	count   prometheus.Counter
	latency prometheus.Observer
}

func (m *metrics) callee(appID string) *calleeMetrics {
	return m.callees.get(appID, func(id string) *calleeMetrics {
		return &calleeMetrics{
			sentUnary: m.reqSent.WithLabelValues(id, unaryType),
			newResult: func(status int) result {
				s := strconv.Itoa(status)
				return result{m.resReceived.WithLabelValues(id, s, unaryType), m.latency.WithLabelValues(id, s)}
			},
		}
	})
}

func (m *calleeMetrics) received(status int, after time.Duration) {
	r := m.results.get(status, m.newResult)
	r.count.Inc()
	r.latency.Observe(float64(after) / float64(time.Millisecond))
}

// callerMetrics are those of calls by one app.
type callerMetrics struct {
	received prometheus.Counter
	results  memo[int, prometheus.Counter]
	newSent  func(status int) prometheus.Counter
}

func (m *metrics) caller(appID string) *callerMetrics {
	return m.callers.get(appID, func(id string) *callerMetrics {
		return &callerMetrics{
			received: m.reqReceived.WithLabelValues(id),
			newSent: func(status int) prometheus.Counter {
				return m.resSent.WithLabelValues(id, strconv.Itoa(status))
			},
		}
	})
}

func (m *callerMetrics) sent(status int) { m.results.get(status, m.newSent).Inc() }

// memo makes a value once for each key.
type memo[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (c *memo[K, V]) get(key K, newValue func(K) V) V {
	c.mu.RLock()
	v, ok := c.m[key]
	c.mu.RUnlock()
	if ok {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.m[key]; ok {
		return v
	}
	if c.m == nil {
		c.m = make(map[K]V)
	}
	v = newValue(key)
	c.m[key] = v
	return v
}
