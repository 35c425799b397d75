package injector

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the webhook decides.
type metrics struct {
	requests  prometheus.Counter
	succeeded *prometheus.CounterVec // by app id
	failed    *prometheus.CounterVec // by app id and reason
}

// reasons of failures.
const (
	reasonRequest    = "request"
	reasonRequester  = "requester"
	reasonAppID      = "app_id"
	reasonComponents = "components"
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dapr_injector_sidecar_injection_requests_total",
			Help: "Pods that the injector was asked about.",
		}),
		succeeded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_injector_sidecar_injection_succeeded_total",
			Help: "Pods that got a sidecar.",
		}, []string{"app_id"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dapr_injector_sidecar_injection_failed_total",
			Help: "Pods that asked for a sidecar and got none.",
		}, []string{"app_id", "reason"}),
	}
	r.MustRegister(m.requests, m.succeeded, m.failed)
	return m
}
