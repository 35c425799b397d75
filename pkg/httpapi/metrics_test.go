package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/httpapi"
)

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics, err := httpapi.NewMetrics(reg, httpapi.MetricsOptions{LatencyBuckets: []float64{1000}})
	require.NoError(t, err)
	o := httpapi.Options{Metrics: metrics, Routes: one(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPost {
			return httpapi.Empty(w)
		}
		_, err := w.Write(make([]byte, 2048))
		return err
	})}
	h := httpapi.New(o)
	httpapi.New(o) // two servers share the metrics
	call(h, "GET", "/v1.0/state/redis/a")
	call(h, "GET", "/v1.0/state/redis/b")
	r := httptest.NewRequest("POST", "/v1.0/state/redis", strings.NewReader(strings.Repeat("x", 3000)))
	h.ServeHTTP(httptest.NewRecorder(), r)

	families, err := reg.Gather()
	require.NoError(t, err)
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if h := m.GetHistogram(); h != nil {
				got[name+" count"] = float64(h.GetSampleCount())
				if !strings.Contains(name, "latency") {
					got[name+" sum"] = h.GetSampleSum()
				}
				continue
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	require.Equal(t, map[string]float64{
		"dapr_http_server_request_count GET /v1.0/state/redis 200":   2,
		"dapr_http_server_request_count POST /v1.0/state/redis 204":  1,
		"dapr_http_server_response_count GET /v1.0/state/redis 200":  2,
		"dapr_http_server_response_count POST /v1.0/state/redis 204": 1,
		"dapr_http_server_latency GET /v1.0/state/redis 200 count":   2,
		"dapr_http_server_latency POST /v1.0/state/redis 204 count":  1,
		"dapr_http_server_request_bytes count":                       3,
		"dapr_http_server_request_bytes sum":                         3000,
		"dapr_http_server_response_bytes count":                      3,
		"dapr_http_server_response_bytes sum":                        4096,
	}, got)
}

func TestMetricLabels(t *testing.T) {
	low := httpapi.MetricsOptions{LowCardinality: true}
	high := httpapi.MetricsOptions{}
	templates := []string{"/v1.0/invoke/shop/method/orders/{id}", "/orders/{id...}"}
	for _, tc := range []struct {
		name   string
		o      httpapi.MetricsOptions
		method string
		path   string
		want   string
	}{
		{"fixed", low, "GET", "/v1.0/metadata", "GET /v1.0/metadata"},
		{"low", low, "GET", "/v1.0/state/redis/key", "GET "},
		{"state key", high, "GET", "/v1.0/state/redis/key/x", "GET /v1.0/state/redis"},
		{"secret", high, "GET", "/v1.0/secrets/vault/password", "GET /v1.0/secrets/vault"},
		{"alpha", high, "POST", "/v1.0-alpha1/state/redis/query", "POST /v1.0-alpha1/state/redis/query"},
		{"actor", high, "PUT", "/v1.0/actors/Cart/17/method/add", "PUT /v1.0/actors/Cart/{id}/method"},
		{"actor without verb", high, "PUT", "/v1.0/actors/Cart/17", "PUT /v1.0/actors/Cart/{id}"},
		{"actor type", high, "PUT", "/v1.0/actors/Cart", "PUT /v1.0/actors/Cart"},
		{"workflow start", high, "POST", "/v1.0/workflows/dapr/order/start", "POST /v1.0/workflows/dapr/order/start"},
		{"workflow get", high, "GET", "/v1.0-beta1/workflows/dapr/17", "GET /v1.0-beta1/workflows/dapr/{instanceId}"},
		{"workflow pause", high, "POST", "/v1.0/workflows/dapr/17/pause", "POST /v1.0/workflows/dapr/{instanceId}/pause"},
		{"workflow event", high, "POST", "/v1.0/workflows/dapr/17/raiseEvent/paid", "POST /v1.0/workflows/dapr/{instanceId}/raiseEvent/{eventName}"},
		{"invoke", high, "POST", "/v1.0/invoke/shop/method/orders/1", "POST /v1.0/invoke/shop/method/orders/1"},
		{"short", high, "GET", "/", "GET /"},
		{"shorter than a name", high, "GET", "/v1.0/state", "GET /v1.0/state"},
		{"slashes", high, "GET", "/v1.0/workflows//", "GET /v1.0/workflows//"},
		{"unknown verb", high, "BREW", "/x", "UNKNOWN /x"},
		{"no verbs", httpapi.MetricsOptions{ExcludeVerbs: true}, "GET", "/x", " /x"},
		{"template", httpapi.MetricsOptions{PathMatching: templates, LowCardinality: true}, "GET", "/v1.0/invoke/shop/method/orders/1", "GET /v1.0/invoke/shop/method/orders/{id}"},
		{"template to the end", httpapi.MetricsOptions{PathMatching: templates}, "GET", "/orders/1/2", "GET /orders/{id...}"},
		{"no template", httpapi.MetricsOptions{PathMatching: templates}, "GET", "/other", "GET /other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			metrics, err := httpapi.NewMetrics(reg, tc.o)
			require.NoError(t, err)
			h := httpapi.New(httpapi.Options{Metrics: metrics, Fallback: fallback, Routes: routes("GET /v1.0/metadata")})
			call(h, tc.method, tc.path)
			families, err := reg.Gather()
			require.NoError(t, err)
			for _, f := range families {
				if f.GetName() == "dapr_http_server_request_count" {
					labels := f.GetMetric()[0].GetLabel()
					require.Equal(t, tc.want, labels[0].GetValue()+" "+labels[1].GetValue())
					return
				}
			}
			t.Fatal("no request was counted")
		})
	}
}

func TestBadPathTemplates(t *testing.T) {
	for _, tc := range []struct {
		templates []string
		want      string
	}{
		{[]string{"orders/{id}"}, `metrics path template "orders/{id}" does not begin with /`},
		{[]string{"/orders/{id}", "/orders/{name}"}, "overlap"},
	} {
		_, err := httpapi.NewMetrics(prometheus.NewRegistry(), httpapi.MetricsOptions{PathMatching: tc.templates})
		require.ErrorContains(t, err, tc.want)
	}
}
