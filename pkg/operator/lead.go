package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/service"
)

// leaseName is the lease that the leading replica holds.
const leaseName = "operator.dapr.io"

// leaseTimes are how long a lease is held and how often it is looked at. A
// leader that cannot renew gives up before another one may take over.
type leaseTimes struct{ duration, deadline, retry time.Duration }

var operatorLease = leaseTimes{duration: 15 * time.Second, deadline: 10 * time.Second, retry: 2 * time.Second}

// errLeaseLost ends a replica that has lost the lease: what is half done must
// not go on beside another leader's.
var errLeaseLost = errors.New("the lease " + leaseName + " was lost to another replica")

// lead runs work in one replica at a time.
func lead(ctx context.Context, c *cluster, o options, p *service.Process, work func(context.Context) error) error {
	if o.noLeaderElection {
		return work(ctx)
	}
	host, err := os.Hostname() // the pod's name
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	l := &lease{leases: c.leases, namespace: o.namespace, self: host, times: operatorLease, log: p.Log}
	return l.hold(ctx, work)
}

// lease is one that replicas contend for as Kubernetes' own services do: whoever
// has written its name into it leads as long as it keeps writing. client-go's
// elector would link every kind that Kubernetes has.
type lease struct {
	leases    kubeapi.Objects[coordinationv1.Lease]
	namespace string
	self      string
	times     leaseTimes
	log       *slog.Logger

	// What was seen last, and when it was first seen: the clocks of replicas
	// differ, so that only the own one counts.
	seen   string // the version
	seenAt time.Time
}

// hold waits for the lease, runs work while it has it, and gives it back when
// work has ended. It ends with the context or with errLeaseLost.
func (l *lease) hold(ctx context.Context, work func(context.Context) error) error {
	renewed, ours := l.acquire(ctx)
	if !ours {
		return nil
	}
	l.log.Info("this replica leads")
	working, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan error, 1)
	go func() { done <- work(working) }()
	for {
		select {
		case err := <-done:
			l.release(context.WithoutCancel(ctx))
			return err
		case <-time.After(l.times.retry):
		}
		if ctx.Err() != nil {
			continue // work is ending
		}
		began, deadline := time.Now(), renewed.Add(l.times.deadline)
		ours, err := l.tryUntil(ctx, deadline)
		switch {
		case ours:
			renewed = began
		case err == nil, !time.Now().Before(deadline):
			end(errLeaseLost)
			return errors.Join(errLeaseLost, err, <-done)
		case ctx.Err() == nil:
			l.log.Warn("the lease "+leaseName+" could not be renewed; trying again", "error", err)
		}
	}
}

// acquire tells since when it has the lease; if it has none, the context has
// ended.
func (l *lease) acquire(ctx context.Context) (since time.Time, ours bool) {
	for said := ""; ; {
		since = time.Now()
		ours, err := l.tryUntil(ctx, since.Add(l.times.deadline))
		if ours {
			return since, true
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			l.log.Warn("the lease "+leaseName+" could not be asked for; trying on", "error", err)
		}
		select {
		case <-ctx.Done():
			return since, false
		case <-time.After(l.times.retry):
		}
	}
}

func (l *lease) tryUntil(ctx context.Context, deadline time.Time) (bool, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return l.try(ctx)
}

// try takes or renews the lease. Without an error, false is that another replica
// has it.
func (l *lease) try(ctx context.Context) (ours bool, err error) {
	now := metav1.NowMicro()
	seconds := int32(l.times.duration / time.Second)
	mine := coordinationv1.LeaseSpec{
		HolderIdentity: &l.self, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now, LeaseTransitions: new(int32),
	}
	have, err := l.leases.Get(ctx, l.namespace, leaseName)
	if apierrors.IsNotFound(err) {
		_, err = l.leases.Create(ctx, l.namespace, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: leaseName, Namespace: l.namespace}, Spec: mine,
		})
		return l.outcome(err)
	}
	if err != nil {
		return false, err
	}
	if l.seen != have.ResourceVersion {
		l.seen, l.seenAt = have.ResourceVersion, time.Now()
	}
	holder := value(have.Spec.HolderIdentity)
	switch {
	case holder == l.self:
		mine.AcquireTime, mine.LeaseTransitions = have.Spec.AcquireTime, have.Spec.LeaseTransitions
	case holder != "" && time.Since(l.seenAt) < time.Duration(value(have.Spec.LeaseDurationSeconds))*time.Second:
		return false, nil
	default:
		*mine.LeaseTransitions = value(have.Spec.LeaseTransitions) + 1
	}
	have.Spec = mine
	_, err = l.leases.Update(ctx, l.namespace, leaseName, have)
	return l.outcome(err)
}

// outcome is that of a write: who was slower than another has no error, and looks
// again.
func (l *lease) outcome(err error) (bool, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	return err == nil, err
}

// release lets another replica lead at once. If that fails, it does when the
// lease has run out.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.times.deadline)
	defer cancel()
	have, err := l.leases.Get(ctx, l.namespace, leaseName)
	if err == nil && value(have.Spec.HolderIdentity) == l.self {
		second, now := int32(1), metav1.NowMicro()
		have.Spec.HolderIdentity, have.Spec.LeaseDurationSeconds, have.Spec.RenewTime = new(string), &second, &now
		_, err = l.leases.Update(ctx, l.namespace, leaseName, have)
	}
	if err != nil && !apierrors.IsConflict(err) {
		l.log.Warn("the lease "+leaseName+" was not given back", "error", err)
	}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
