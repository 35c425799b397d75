// Package helmtest has a helm.Runner without a cluster: it renders charts for
// real, keeps the releases in memory, and fails when it is told to.
package helmtest

import (
	"context"
	"fmt"
	"time"

	"github.com/hyperdapr/dapr/pkg/helm"
)

// Runner is a helm.Runner. The zero value has no releases. It may not be used by
// several goroutines.
type Runner struct {
	Namespace string
	// Releases are all revisions, oldest first.
	Releases []*helm.Release
	// Fail has errors by the name of the method that is to fail with them.
	Fail map[string]error
	// Calls are the names of the methods that change something, in order.
	Calls []string
	// Now is the clock.
	Now func() time.Time
}

var _ helm.Runner = (*Runner)(nil)

// Install implements helm.Runner.
func (r *Runner) Install(ctx context.Context, request helm.Request) (*helm.Release, error) {
	r.Calls = append(r.Calls, "Install")
	return r.make(ctx, "Install", request)
}

// Upgrade implements helm.Runner.
func (r *Runner) Upgrade(ctx context.Context, request helm.Request) (*helm.Release, error) {
	r.Calls = append(r.Calls, "Upgrade")
	return r.make(ctx, "Upgrade", request)
}

// PlanUpgrade implements helm.Runner.
func (r *Runner) PlanUpgrade(ctx context.Context, request helm.Request) (*helm.Release, error) {
	if err := r.Fail["PlanUpgrade"]; err != nil {
		return nil, err
	}
	return r.render(ctx, request)
}

// make adds a revision, a failed one when the method is to fail.
func (r *Runner) make(ctx context.Context, method string, request helm.Request) (*helm.Release, error) {
	made, err := r.render(ctx, request)
	if err != nil {
		return nil, err
	}
	if err := r.Fail[method]; err != nil {
		made.Status = helm.Failed
		r.Releases = append(r.Releases, made)
		return nil, err
	}
	r.add(made)
	return made, nil
}

func (r *Runner) render(ctx context.Context, request helm.Request) (*helm.Release, error) {
	made, err := request.Chart.Template(ctx, helm.Target{Release: request.Name, Namespace: r.Namespace}, request.Values)
	if err != nil {
		return nil, err
	}
	made.Revision = len(r.Releases) + 1
	made.Updated = r.Now()
	made.Values = request.Values.Clone()
	return made, nil
}

// add makes a revision the one that is deployed.
func (r *Runner) add(made *helm.Release) {
	for _, old := range r.Releases {
		if old.Status == helm.Deployed {
			old.Status = helm.Superseded
		}
	}
	made.Status = helm.Deployed
	r.Releases = append(r.Releases, made)
}

// Rollback implements helm.Runner.
func (r *Runner) Rollback(_ context.Context, name string, revision int, _ time.Duration) error {
	r.Calls = append(r.Calls, fmt.Sprintf("Rollback to %d", revision))
	if err := r.Fail["Rollback"]; err != nil {
		return err
	}
	for _, old := range r.Releases {
		if old.Name == name && old.Revision == revision {
			again := *old
			again.Revision = len(r.Releases) + 1
			r.add(&again)
			return nil
		}
	}
	return helm.ErrNoRelease
}

// Uninstall implements helm.Runner.
func (r *Runner) Uninstall(ctx context.Context, name string, _ time.Duration) error {
	r.Calls = append(r.Calls, "Uninstall")
	if err := r.Fail["Uninstall"]; err != nil {
		return err
	}
	if _, err := r.Status(ctx, name); err != nil {
		return err
	}
	r.Releases = nil
	return nil
}

// Status implements helm.Runner.
func (r *Runner) Status(_ context.Context, name string) (*helm.Release, error) {
	if err := r.Fail["Status"]; err != nil {
		return nil, err
	}
	if len(r.Releases) == 0 || r.Releases[0].Name != name {
		return nil, helm.ErrNoRelease
	}
	return r.Releases[len(r.Releases)-1], nil
}

// History implements helm.Runner.
func (r *Runner) History(ctx context.Context, name string) ([]*helm.Release, error) {
	if _, err := r.Status(ctx, name); err != nil {
		return nil, err
	}
	return r.Releases, nil
}

// Abandon implements helm.Runner.
func (r *Runner) Abandon(ctx context.Context, name string) error {
	r.Calls = append(r.Calls, "Abandon")
	last, err := r.Status(ctx, name)
	if err == nil {
		last.Status = helm.Failed
	}
	return err
}
