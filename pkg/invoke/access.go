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

// claim is who a call's header says it is from. The app is told the same.
type claim struct{ appID, namespace string }

// check refuses a claim that is not what the certificate says. A header that is
// missing claims nothing.
func (c claim) check(caller security.ID) error {
	if c.appID != "" && c.appID != caller.AppID || c.namespace != "" && c.namespace != caller.Namespace {
		return status.Errorf(codes.PermissionDenied, "the call says that it is from app %q of namespace %q, but its certificate is that of %s", c.appID, c.namespace, caller)
	}
	return nil
}

// admit refuses a call of another sidecar that the app's policy denies. Who
// calls is what the certificate says, never what a header says.
func (b *Block) admit(ctx context.Context, says claim, method, verb string) error {
	id, proved := security.PeerID(ctx)
	if proved {
		if err := says.check(id); err != nil {
			return err
		}
	}
	policy := b.o.Access
	if policy == nil || policy.AllowsAll() {
		return nil
	}
	var caller *security.ID
	if proved {
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
