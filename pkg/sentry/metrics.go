package sentry

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	received, signed prometheus.Counter
	failed           *prometheus.CounterVec // by reason
	serverCertFailed *prometheus.CounterVec // by reason
	issuerChanged    prometheus.Counter
	issuerExpiry     prometheus.Gauge // seconds since 1970
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "dapr_sentry_" + name, Help: help}
	}
	m := &metrics{
		received:         prometheus.NewCounter(counter("cert_sign_request_received_total", "Requests for a certificate.")),
		signed:           prometheus.NewCounter(counter("cert_sign_success_total", "Certificates signed.")),
		failed:           prometheus.NewCounterVec(counter("cert_sign_failure_total", "Requests for a certificate that failed."), []string{"reason"}),
		serverCertFailed: prometheus.NewCounterVec(counter("servercert_issue_failed_total", "Failures to sign the certificate authority's own server certificate."), []string{"reason"}),
		issuerChanged:    prometheus.NewCounter(counter("issuercert_changed_total", "Changes of the issuer's certificate.")),
		issuerExpiry:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "dapr_sentry_issuercert_expiry_timestamp", Help: "When the issuer's certificate expires, in seconds since 1970."}),
	}
	r.MustRegister(m.received, m.signed, m.failed, m.serverCertFailed, m.issuerChanged, m.issuerExpiry)
	return m
}
