package state

import "github.com/hyperdapr/dapr/pkg/telemetry"

// Operations of a store, as the metrics count them.
const (
	opGet = iota
	opSet
	opDelete
	opBulkGet
	opBulkDelete
	opQuery
	opTransaction
)

func newMetrics(m *telemetry.Metrics, namespace string) *telemetry.ComponentMetrics {
	return telemetry.NewComponentMetrics(m, "state", namespace,
		"get", "set", "delete", "bulk_get", "bulk_delete", "query", "transaction")
}
