package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// MetricsOptions say how the server metrics are labelled.
type MetricsOptions struct {
	// LowCardinality leaves the path label empty for paths that hold names, such
	// as a state key.
	LowCardinality bool
	// PathMatching are path templates, such as "/v1.0/invoke/shop/method/orders/{id}":
	// a path that one of them matches is labelled with it.
	PathMatching []string
	// ExcludeVerbs leaves the method label empty.
	ExcludeVerbs bool
	// LatencyBuckets are in milliseconds; nil is the protocol's default.
	LatencyBuckets []float64
}

// Metrics are the dapr_http_server_… metrics of one sidecar.
type Metrics struct {
	o         MetricsOptions
	templates node

	requests      *prometheus.CounterVec
	responses     *prometheus.CounterVec // nil with low cardinality
	latency       *prometheus.HistogramVec
	requestBytes  prometheus.Histogram
	responseBytes prometheus.Histogram

	mu     sync.RWMutex
	series map[seriesKey]*series
}

type seriesKey struct {
	method, path string
	status       int
}

// series are the metrics of one set of labels, looked up once.
type series struct {
	requests, responses prometheus.Counter
	latency             prometheus.Observer
}

// NewMetrics registers the metrics. An error names a path template that is not
// one.
func NewMetrics(reg prometheus.Registerer, o MetricsOptions) (*Metrics, error) {
	if o.LatencyBuckets == nil {
		o.LatencyBuckets = telemetry.LatencyBuckets
	}
	m := &Metrics{o: o, series: make(map[seriesKey]*series)}
	for _, template := range o.PathMatching {
		if !strings.HasPrefix(template, "/") {
			return nil, fmt.Errorf("metrics path template %q does not begin with /", template)
		}
		if err := m.templates.add(&Route{Path: template}); err != nil {
			return nil, fmt.Errorf("metrics path templates: %w", err)
		}
	}
	labels := []string{"method", "path", "status"}
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dapr_http_server_" + name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	size := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dapr_http_server_" + name, Help: help, Buckets: telemetry.SizeBuckets})
		reg.MustRegister(h)
		return h
	}
	m.requests = counter("request_count", "HTTP API requests.")
	if !o.LowCardinality {
		m.responses = counter("response_count", "HTTP API responses.")
	}
	m.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dapr_http_server_latency", Help: "HTTP API latency in milliseconds.", Buckets: o.LatencyBuckets,
	}, labels)
	reg.MustRegister(m.latency)
	m.requestBytes = size("request_bytes", "HTTP API request body sizes, where announced.")
	m.responseBytes = size("response_bytes", "HTTP API response body sizes.")
	return m, nil
}

// measure is the layer that records every request. The paths in fixed hold no
// names and are always a label.
func (m *Metrics) measure(fixed map[string]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		key := seriesKey{method: m.method(r.Method), path: r.URL.Path} // before a middleware rewrites them
		if !fixed[key.path] {
			key.path = m.path(key.path)
		}
		rec := record(w)
		defer func() { // also when the handler aborts
			key.status = rec.code()
			s := m.of(key)
			s.requests.Inc()
			if s.responses != nil {
				s.responses.Inc()
			}
			s.latency.Observe(float64(time.Since(start)) / float64(time.Millisecond))
			m.requestBytes.Observe(float64(max(r.ContentLength, 0)))
			m.responseBytes.Observe(float64(rec.size))
			rec.release()
		}()
		next.ServeHTTP(rec, r)
	})
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
		key.path = strings.Clone(key.path) // it may hold on to a whole URL
		labels := []string{key.method, key.path, strconv.Itoa(key.status)}
		s = &series{requests: m.requests.WithLabelValues(labels...), latency: m.latency.WithLabelValues(labels...)}
		if m.responses != nil {
			s.responses = m.responses.WithLabelValues(labels...)
		}
		m.series[key] = s
	}
	return s
}

// method keeps a client from making up label values.
func (m *Metrics) method(method string) string {
	if m.o.ExcludeVerbs {
		return ""
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "UNKNOWN"
}

// path is the path label: a template when one matches, else as much of the path
// as the chosen cardinality shows.
func (m *Metrics) path(path string) string {
	if path == "" { // CONNECT has none
		return ""
	}
	if template := m.templates.match("", path); template != nil {
		return template.Path
	}
	if m.o.LowCardinality {
		return ""
	}
	return withoutNames(path)
}
