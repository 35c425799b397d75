package invoke

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// admit refuses a call of another sidecar that the app's policy denies. Who
// calls is what the certificate says, never what a header says.
func (b *Block) admit(ctx context.Context, method, verb string) error {
	policy := b.o.Access
	if policy == nil || policy.AllowsAll() {
		return nil
	}
	var caller *security.ID
	if id, ok := security.PeerID(ctx); ok {
		caller = &id
	}
	if b.o.App != nil && !b.o.App.Protocol().IsHTTP() {
		verb = "" // the policy of a gRPC app is about methods only
	}
	decision := policy.Allow(caller, method, verb)
	b.metrics.admitted(caller, decision)
	if decision.Allowed {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "access to %s %s is denied by %s", strings.ToUpper(verb), method, decision.Reason)
}

// aclMetrics count the policy's decisions: by the rules about an app, and by the
// default for everybody.
type aclMetrics struct{ appAllowed, appBlocked, globalAllowed, globalBlocked *prometheus.CounterVec }

func newACLMetrics(reg *telemetry.Metrics) aclMetrics {
	counter := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dapr_runtime_acl_" + name + "_total", Help: help}, []string{"trustDomain", "namespace"})
		if reg != nil {
			reg.MustRegister(v)
		}
		return v
	}
	return aclMetrics{
		appAllowed:    counter("app_policy_action_allowed", "Calls that a policy about the calling app allowed."),
		appBlocked:    counter("app_policy_action_blocked", "Calls that a policy about the calling app denied."),
		globalAllowed: counter("global_policy_action_allowed", "Calls that the default for everybody allowed."),
		globalBlocked: counter("global_policy_action_blocked", "Calls that the default for everybody denied."),
	}
}

func (m aclMetrics) admitted(caller *security.ID, d security.Decision) {
	var id security.ID
	if caller != nil {
		id = *caller
	}
	counter := m.globalBlocked
	switch {
	case d.ByApp && d.Allowed:
		counter = m.appAllowed
	case d.ByApp:
		counter = m.appBlocked
	case d.Allowed:
		counter = m.globalAllowed
	}
	counter.WithLabelValues(id.TrustDomain, id.Namespace).Inc()
}
