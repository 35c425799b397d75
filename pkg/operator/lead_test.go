package operator

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/kubeapi/kubeapitest"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func newLease(c *testCluster, self string, duration time.Duration) *lease {
	return &lease{
		leases: c.leases, namespace: "dapr-system", self: self, log: telemetry.Discard(),
		times: leaseTimes{duration: duration, deadline: duration * 2 / 3, retry: 10 * time.Millisecond},
	}
}

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/dapr-system/leases/" + leaseName

func TestOneReplicaLeadsAtATime(t *testing.T) {
	c := startCluster(t)
	var leading, terms atomic.Int32
	const replicas = 4
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(func() {
			// Each gives the lease back when its work is done, so that all get a turn
			// long before a lease would have run out.
			err := newLease(c, string(rune('a'+i)), time.Hour).hold(t.Context(), func(context.Context) error {
				if n := leading.Add(1); n != 1 {
					t.Errorf("%d replicas lead", n)
				}
				time.Sleep(30 * time.Millisecond)
				leading.Add(-1)
				terms.Add(1)
				return nil
			})
			if err != nil {
				t.Errorf("replica %d: %v", i, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, replicas, terms.Load())
	l, err := c.leases.Get(t.Context(), "dapr-system", leaseName)
	require.NoError(t, err)
	require.EqualValues(t, replicas-1, value(l.Spec.LeaseTransitions))
	require.Empty(t, value(l.Spec.HolderIdentity))
}

func TestALeaderThatVanishesIsReplaced(t *testing.T) {
	c := startCluster(t)
	gone := newLease(c, "gone", 2*time.Second)
	ours, err := gone.try(t.Context())
	require.NoError(t, err)
	require.True(t, ours)
	start := time.Now()
	require.NoError(t, newLease(c, "next", 2*time.Second).hold(t.Context(), func(context.Context) error { return nil }))
	require.GreaterOrEqual(t, time.Since(start), 2*time.Second, "the first may still be at work")
}

func TestALeaderThatCannotRenewGivesUpInTime(t *testing.T) {
	c := startCluster(t)
	l := newLease(c, "a", 6*time.Second)
	start := time.Now()
	var ended time.Duration
	err := l.hold(t.Context(), func(ctx context.Context) error {
		start = time.Now()
		c.api.Answer(http.MethodGet, leasePath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		<-ctx.Done()
		ended = time.Since(start)
		return context.Cause(ctx)
	})
	require.ErrorIs(t, err, errLeaseLost)
	require.Less(t, ended, 6*time.Second, "another may lead from then on")
}

func TestALostLeaseEndsTheWork(t *testing.T) {
	c := startCluster(t)
	err := newLease(c, "a", time.Hour).hold(t.Context(), func(ctx context.Context) error {
		_, err := c.leases.Patch(ctx, "dapr-system", leaseName, "application/merge-patch+json", []byte(`{"spec":{"holderIdentity":"thief"}}`))
		require.NoError(t, err)
		<-ctx.Done()
		return nil
	})
	require.ErrorIs(t, err, errLeaseLost)
}

func TestTheEndOfWorkIsTheEndOfTheTerm(t *testing.T) {
	c := startCluster(t)
	broken := errors.New("broken")
	require.ErrorIs(t, newLease(c, "a", time.Hour).hold(t.Context(), func(context.Context) error { return broken }), broken)

	// Rights that are missing are waited for.
	c.api.Answer(http.MethodGet, leasePath, kubeapitest.Refuse(http.StatusForbidden, "Forbidden", "no rights"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, newLease(c, "b", time.Hour).hold(ctx, func(context.Context) error { return broken }))
}
