package apierror

import "github.com/prometheus/client_golang/prometheus"

// Counter counts the errors that leave the API, on both faces. A nil Counter
// counts nothing.
type Counter struct {
	total *prometheus.CounterVec
}

// NewCounter registers dapr_error_code_total.
func NewCounter(reg prometheus.Registerer) *Counter {
	c := &Counter{total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dapr_error_code_total",
		Help: "Errors answered by the API, by code.",
	}, []string{"error_code", "category"})}
	reg.MustRegister(c.total)
	return c
}

// Count adds one error of an operation of the group, such as "state".
func (c *Counter) Count(group, code string) {
	if c != nil {
		c.total.WithLabelValues(code, category(group)).Inc()
	}
}

// category is the metric's name for a group of operations.
func category(group string) string {
	switch group {
	case "actors", "bindings", "jobs", "secrets", "workflows":
		return group[:len(group)-1]
	case "configuration", "conversation", "crypto", "lock", "state":
		return group
	case "healthz":
		return "health"
	case "invoke":
		return "service-invocation"
	case "publish":
		return "pubsub"
	case "subtlecrypto":
		return "crypto"
	case "unlock":
		return "lock"
	}
	return "common"
}
