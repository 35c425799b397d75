package secret

import "github.com/hyperdapr/dapr/pkg/telemetry"

// Operations of a store, as the metrics count them.
const (
	opGet = iota
	opBulkGet
)

func newMetrics(m *telemetry.Metrics, namespace string) *telemetry.ComponentMetrics {
	return telemetry.NewComponentMetrics(m, "secret", namespace, "get", "bulk_get")
}
