package operator

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/hyperdapr/dapr/pkg/service"
)

// leaseName is the lease that the leading replica holds.
const leaseName = "operator.dapr.io"

// lead runs work in one replica at a time. Losing the lease ends the process:
// what is half done must not go on beside another leader's.
func lead(ctx context.Context, c *cluster, o options, p *service.Process, work func(context.Context) error) error {
	if o.noLeaderElection {
		return work(ctx)
	}
	host, err := os.Hostname() // the pod's name
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workErr error
	worked := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: leaseName, Namespace: o.namespace},
			Client:     c.coordination,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host},
		},
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		ReleaseOnCancel: true, Name: leaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				p.Log.Info("this replica leads")
				workErr = work(ctx)
				close(worked)
				cancel()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	parent := ctx
	elector.Run(ctx)
	select {
	case <-worked:
		return workErr
	default:
	}
	if parent.Err() == nil {
		return fmt.Errorf("the lease %s was lost to another replica", leaseName)
	}
	return nil
}
