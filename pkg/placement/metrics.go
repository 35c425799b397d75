package placement

import "github.com/prometheus/client_golang/prometheus"

// metrics are what is known and who leads.
type metrics struct {
	runtimes      *prometheus.GaugeVec // by namespace
	actorRuntimes *prometheus.GaugeVec // by namespace
	leader        prometheus.Gauge
	raftLeader    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	byNamespace := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"host_namespace"})
	}
	m := &metrics{
		runtimes:      byNamespace("dapr_placement_runtimes_total", "Sidecars that are connected."),
		actorRuntimes: byNamespace("dapr_placement_actor_runtimes_total", "Sidecars with actors that are connected."),
		leader:        gauge("dapr_placement_leader_status", "Whether this replica serves sidecars."),
		raftLeader:    gauge("dapr_placement_raft_leader_status", "Whether this replica is the elected one."),
	}
	r.MustRegister(m.runtimes, m.actorRuntimes, m.leader, m.raftLeader)
	return m
}

func (m *metrics) count(namespace string, all, withActors int) {
	m.runtimes.WithLabelValues(namespace).Set(float64(all))
	m.actorRuntimes.WithLabelValues(namespace).Set(float64(withActors))
}

func (m *metrics) forget(namespace string) {
	m.runtimes.DeleteLabelValues(namespace)
	m.actorRuntimes.DeleteLabelValues(namespace)
}

// leads tells whether this replica is the elected one, and serves.
func (m *metrics) leads(on bool) {
	value := 0.0
	if on {
		value = 1
	}
	m.leader.Set(value)
	m.raftLeader.Set(value)
}
