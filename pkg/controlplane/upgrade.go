package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// UpgradeOptions say what an upgrade changes beside the version.
type UpgradeOptions struct {
	// Namespace is that of the release; when it is empty, the release is looked
	// for in all of them.
	Namespace string
	// Change lays values over those that were given before, which stay.
	Change func(helm.Values) error
	// Timeout bounds the upgrade, and once more the rollback if it fails.
	Timeout time.Duration
}

// Plan is an upgrade that nothing was done of yet.
type Plan struct {
	Namespace string
	// From and To are versions.
	From, To string
	// Downgrade tells that To is older. The CustomResourceDefinitions stay as they
	// are then: the older ones may not have what is stored.
	Downgrade bool
	CRDs      []kubernetes.CRDChange
	// Images are those that change.
	Images []ImageChange
	// Objects are those that change.
	Objects []ObjectChange
	// Recreated are the StatefulSets that are made anew around their running pods,
	// because a field changes that cannot be changed.
	Recreated []string

	runner   helm.Runner
	request  helm.Request
	previous *helm.Release
	crds     []*unstructured.Unstructured
	timeout  time.Duration
	// sidecar is the image that new pods get.
	sidecar string
}

// Empty tells that there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Objects) == 0 && !slices.ContainsFunc(p.CRDs, func(c kubernetes.CRDChange) bool { return c.Action != kubernetes.Keep })
}

// PlanUpgrade works out an upgrade, and finds whatever is in its way.
func (c *ControlPlane) PlanUpgrade(ctx context.Context, o UpgradeOptions) (*Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if _, err := c.Cluster.Reach(ctx); err != nil {
		return nil, err
	}
	newest, err := c.theRelease(ctx, o.Namespace)
	if err != nil {
		return nil, err
	}
	p := &Plan{Namespace: newest.Namespace, timeout: o.Timeout}
	if p.runner, err = c.Helm(p.Namespace); err != nil {
		return nil, err
	}
	if err := c.clear(ctx, newest, p); err != nil {
		return nil, err
	}
	if p.previous, err = lastDeployed(ctx, p.runner); err != nil {
		return nil, err
	}
	if p.request, err = c.request(p.previous, o); err != nil {
		return nil, err
	}
	next, err := p.runner.PlanUpgrade(ctx, p.request)
	if err != nil {
		return nil, err
	}
	if err := p.compare(p.previous, next); err != nil {
		return nil, err
	}
	p.From, p.To = p.previous.Version, c.Version
	p.Downgrade = older(p.To, p.From)
	if p.Downgrade {
		return p, c.require(ctx, p, next)
	}
	if err := c.require(ctx, p, next); err != nil {
		return nil, err
	}
	definitions, err := c.definitions()
	if err != nil {
		return nil, err
	}
	p.crds = inNamespace(definitions, p.Namespace)
	p.CRDs, err = c.Cluster.PlanCRDs(ctx, p.crds)
	return p, err
}

// theRelease is the newest revision of what there is to upgrade.
func (c *ControlPlane) theRelease(ctx context.Context, namespace string) (*helm.Release, error) {
	where := namespace
	if where == "" {
		where = DefaultNamespace
	}
	found, err := c.installed(ctx, where)
	if err != nil {
		return nil, err
	}
	if namespace != "" {
		found = slices.DeleteFunc(found, func(r *helm.Release) bool { return r.Namespace != namespace })
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("there are control planes in the namespaces %s and %s; say which with --namespace", found[0].Namespace, found[1].Namespace)
	case namespace != "":
		return nil, fmt.Errorf("there is no control plane in the namespace %s; install one with \"dapr init -k -n %s\"", namespace, namespace)
	default:
		return nil, errors.New(`there is no control plane in the cluster; install one with "dapr init -k"`)
	}
}

// clear makes way where a process was killed in the midst of its work. One that
// may still be at it goes first.
func (c *ControlPlane) clear(ctx context.Context, newest *helm.Release, p *Plan) error {
	if newest.Status != helm.Pending {
		return nil
	}
	if c.Now().Sub(newest.Updated) < p.timeout {
		return fmt.Errorf("another upgrade has been under way since %s; wait for its end, or, if nobody is at it any more, until %s",
			newest.Updated.Format(time.TimeOnly), newest.Updated.Add(p.timeout).Format(time.TimeOnly))
	}
	return p.runner.Abandon(ctx, release)
}

// lastDeployed is the revision that is in the cluster, and to roll back to.
func lastDeployed(ctx context.Context, runner helm.Runner) (*helm.Release, error) {
	history, err := runner.History(ctx, release)
	if err != nil {
		return nil, fmt.Errorf("read the history of the release: %w", err)
	}
	for _, r := range slices.Backward(history) {
		if r.Status == helm.Deployed {
			return r, nil
		}
	}
	last := history[len(history)-1]
	return nil, fmt.Errorf("the installation in the namespace %s never came to its end; run \"dapr uninstall -k -n %s\" and \"dapr init -k\"", last.Namespace, last.Namespace)
}

func (c *ControlPlane) request(previous *helm.Release, o UpgradeOptions) (helm.Request, error) {
	chart, err := c.chart()
	if err != nil {
		return helm.Request{}, err
	}
	v := previous.Values.Clone()
	v.Put(c.Version, "global", "tag")
	// The CA that was given once may have been renewed since. The chart takes it
	// from the cluster.
	for _, part := range []string{"root", "issuer"} {
		v.Remove("dapr_sentry", "tls", part)
	}
	if o.Change != nil {
		if err := o.Change(v); err != nil {
			return helm.Request{}, err
		}
	}
	return helm.Request{Name: release, Chart: chart, Values: v, Timeout: o.Timeout}, nil
}

func (c *ControlPlane) require(ctx context.Context, p *Plan, next *helm.Release) error {
	var objects []*unstructured.Unstructured
	for _, r := range []*helm.Release{p.previous, next} {
		more, err := kubernetes.DecodeObjects([]byte(r.Manifest))
		if err != nil {
			return fmt.Errorf("manifest of revision %d: %w", r.Revision, err)
		}
		objects = append(objects, more...)
	}
	rights := rightsFor(objects, "create", "delete", "get", "patch")
	rights = append(rights, alwaysNeeded(p.Namespace)...)
	rights = append(rights, kubernetes.Right{Verb: "update", Resource: "configmaps", Namespace: p.Namespace}) // for the trust bundle
	if len(p.Recreated) > 0 {
		rights = append(rights, kubernetes.Right{Verb: "delete", Resource: "pods", Namespace: p.Namespace})
	}
	return c.Cluster.Require(ctx, append(rights, toWait(p.Namespace)...))
}

// older tells whether version a is before b. What is no version, such as a
// build between two, is neither before nor after anything.
func older(a, b string) bool {
	va, err := semver.NewVersion(a)
	if err != nil {
		return false
	}
	vb, err := semver.NewVersion(b)
	return err == nil && va.LessThan(vb)
}

// Upgrade does what was planned. When the new control plane does not get ready,
// it goes back to what was there before; then the error says so.
func (c *ControlPlane) Upgrade(ctx context.Context, p *Plan, report Reporter) error {
	var begun bool
	if err := c.upgrade(ctx, p, report, &begun); err != nil {
		return c.rollBack(ctx, p, err, begun, report)
	}
	return c.tellOldSidecars(ctx, p, report)
}

// upgrade sets begun when more than CustomResourceDefinitions may have changed.
func (c *ControlPlane) upgrade(ctx context.Context, p *Plan, report Reporter, begun *bool) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if !p.Downgrade {
		done := report.Spin("Applying " + plural(len(p.crds), "CustomResourceDefinition"))
		err := c.Cluster.ApplyCRDs(ctx, p.crds)
		done(err)
		if err != nil {
			return err
		}
	}
	step := fmt.Sprintf("Upgrading from version %s to %s", p.From, p.To)
	if p.From == p.To {
		step = "Changing version " + p.To
	}
	done := report.Spin(step)
	*begun = true
	err := c.exchange(ctx, p, func() error {
		// Helm goes on in the background when its context ends, which would race
		// with the rollback.
		if _, err := p.runner.Upgrade(context.WithoutCancel(ctx), p.request); err != nil {
			return err
		}
		return ctx.Err()
	})
	done(err)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return c.Cluster.WaitReady(ctx, p.Namespace, selector, watcher(report))
}

// exchange runs what makes Helm change the release. StatefulSets that cannot be
// changed are deleted before, with their pods left running, and the pods are
// replaced after.
func (c *ControlPlane) exchange(ctx context.Context, p *Plan, change func() error) error {
	var replace []func(context.Context) error
	for _, name := range p.Recreated {
		r, err := c.Cluster.Orphan(ctx, p.Namespace, name)
		if err != nil {
			return err
		}
		replace = append(replace, r)
	}
	if err := change(); err != nil {
		return err
	}
	for _, r := range replace {
		if err := r(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *ControlPlane) rollBack(ctx context.Context, p *Plan, failure error, begun bool, report Reporter) error {
	if !begun {
		return failure // nothing but CustomResourceDefinitions was changed
	}
	newest, err := p.runner.Status(context.WithoutCancel(ctx), release)
	if err == nil && newest.Revision == p.previous.Revision && len(p.Recreated) == 0 {
		return failure // Helm has not begun, and no set was deleted before
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	done := report.Spin(fmt.Sprintf("Rolling back to version %s", p.From))
	err = c.restore(ctx, p)
	done(err)
	if err == nil {
		err = c.Cluster.WaitReady(ctx, p.Namespace, selector, watcher(report))
	}
	if err != nil {
		return fmt.Errorf("%w\nThe rollback to version %s failed, too: %w", failure, p.From, err)
	}
	report.Info("Version %s runs again", p.From)
	return failure
}

// restore makes the cluster what it was, but for the certificate authority,
// which stays what it is.
func (c *ControlPlane) restore(ctx context.Context, p *Plan) error {
	keep, err := c.Cluster.KeepTrust(ctx, p.Namespace)
	if err != nil {
		return err
	}
	return c.exchange(ctx, p, func() error {
		if err := p.runner.Rollback(ctx, release, p.previous.Revision, p.timeout); err != nil {
			return err
		}
		return keep(ctx)
	})
}

// tellOldSidecars names what still has a sidecar of before: pods get the new one
// when they are made anew.
func (c *ControlPlane) tellOldSidecars(ctx context.Context, p *Plan, report Reporter) error {
	images, err := c.Cluster.SidecarImages(ctx)
	if err != nil {
		return nil //nolint:nilerr // a user who may not look at the apps' pods is not told about them
	}
	for _, image := range slices.Sorted(maps.Keys(images)) {
		if p.sidecar != "" && image != p.sidecar {
			report.Info("%s with the sidecar %s; they get the new one when they are restarted, such as with \"kubectl rollout restart deployment NAME\"",
				plural(images[image], "pod"), image)
		}
	}
	return nil
}
