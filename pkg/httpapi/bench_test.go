package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// discard is a ResponseWriter that costs nothing, to see the chain's own cost.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkChain(b *testing.B) {
	value := []byte(`{"orderId":42}`)
	get := func(w http.ResponseWriter, r *http.Request) error {
		if httpapi.Param(r, "store") == "" || httpapi.Param(r, "key") == "" {
			b.Error("no parameters")
		}
		_, err := w.Write(value)
		return err
	}
	rs := routes("GET /v1.0/metadata", "POST /v1.0/state/{store}/bulk", "POST,PUT /v1.0/state/{store}", "* /v1.0/invoke/{rest...}")
	rs = append(rs, httpapi.Route{Methods: []string{"GET"}, Path: "/v1.0/state/{store}/{key}", Name: "GetState", Group: "state", Version: "v1", Handler: get})

	metrics, err := httpapi.NewMetrics(prometheus.NewRegistry(), httpapi.MetricsOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name string
		h    http.Handler
	}{
		{"bare", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(value) })},
		{"routed", httpapi.New(httpapi.Options{Routes: rs, MaxBody: 4 << 20})},
		{"metrics", httpapi.New(httpapi.Options{Routes: rs, MaxBody: 4 << 20, Metrics: metrics})},
		{"everything", httpapi.New(httpapi.Options{
			Routes: rs, MaxBody: 4 << 20, Metrics: metrics, Origins: "*", Token: "s3cret",
			APILog: &httpapi.APILog{Log: telemetry.Discard()},
		})},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/v1.0/state/statestore/order", nil)
			w := discard{make(http.Header)}
			token := []string{"s3cret"}
			b.ReportAllocs()
			for b.Loop() {
				r.Header["Dapr-Api-Token"] = token
				bm.h.ServeHTTP(w, r)
			}
		})
	}
}
