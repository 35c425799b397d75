// Package helm installs, upgrades and removes the control plane in a cluster,
// with Helm's own library over a chart that is compiled in: no other program is
// called, and nothing is downloaded. What it makes is a release like any other,
// so that the program helm can look at it.
package helm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// ErrNoRelease means that there is no release of the name in the namespace.
var ErrNoRelease = errors.New("no such release")

// historyKept is how many revisions of a release stay for a rollback.
const historyKept = 10

// Runner is what commands need of Helm: the releases of one namespace. Calls
// block until the cluster has taken the objects, but not until pods are ready.
// Errors about given values are *ValuesError.
type Runner interface {
	// Install makes the first revision of a release. After an error what was made
	// so far is still there, as a failed release: Uninstall removes it.
	Install(ctx context.Context, r Request) (*Release, error)
	// Upgrade makes the next revision, with the request's values and no others.
	// After an error the release is a failed one: Rollback goes back.
	Upgrade(ctx context.Context, r Request) (*Release, error)
	// PlanUpgrade renders what Upgrade would make, and changes nothing.
	PlanUpgrade(ctx context.Context, r Request) (*Release, error)
	// Rollback makes the next revision, out of what an earlier one had.
	Rollback(ctx context.Context, name string, revision int, timeout time.Duration) error
	// Uninstall removes a release and waits until its objects are gone; it returns
	// ErrNoRelease when there is none.
	Uninstall(ctx context.Context, name string, timeout time.Duration) error
	// Status returns the newest revision, or ErrNoRelease.
	Status(ctx context.Context, name string) (*Release, error)
	// History returns all revisions, oldest first, or ErrNoRelease.
	History(ctx context.Context, name string) ([]*Release, error)
	// Abandon calls the newest revision failed. A process that was killed in the
	// midst of its work leaves it pending, and that bars the way to all others.
	Abandon(ctx context.Context, name string) error
}

// Request is a release to make.
type Request struct {
	// Name is the release's.
	Name   string
	Chart  *Chart
	Values Values
	// Timeout bounds single operations of the cluster.
	Timeout time.Duration
}

// Status is how the making of a revision ended.
type Status string

// The statuses.
const (
	Deployed   Status = "deployed"
	Failed     Status = "failed"
	Superseded Status = "superseded"
	Pending    Status = "pending"
)

// Release is one revision of a release.
type Release struct {
	Name, Namespace string
	Revision        int
	Status          Status
	Updated         time.Time
	// Chart is the chart's name, and Version what it installs.
	Chart, Version string
	// Values are those that were given, without the chart's own.
	Values Values
	// Manifest is everything in the cluster that the release is, as YAML.
	Manifest string
	Notes    string
}

func newRelease(r *release.Release) *Release {
	made := &Release{
		Name: r.Name, Namespace: r.Namespace, Revision: r.Version,
		Values: Values(r.Config), Manifest: r.Manifest, Status: Failed,
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		made.Chart, made.Version = r.Chart.Metadata.Name, r.Chart.Metadata.AppVersion
	}
	if r.Info == nil {
		return made
	}
	made.Updated, made.Notes = r.Info.LastDeployed.Time, r.Info.Notes
	switch {
	case r.Info.Status.IsPending(), r.Info.Status == release.StatusUninstalling:
		made.Status = Pending
	case r.Info.Status == release.StatusDeployed:
		made.Status = Deployed
	case r.Info.Status == release.StatusSuperseded:
		made.Status = Superseded
	}
	return made
}

// Client is the Runner over a cluster.
type Client struct {
	config    *action.Configuration
	namespace string
}

var _ Runner = (*Client)(nil)

// storage is where Helm keeps releases by default, so that the program helm
// finds them.
const storage = "secret"

// New returns the Runner for a namespace of a cluster; with an empty one, only
// Find is of use. debug, when not nil, is told what Helm does.
func New(cluster genericclioptions.RESTClientGetter, namespace string, debug func(format string, args ...any)) (*Client, error) {
	if debug == nil {
		debug = func(string, ...any) {}
	}
	config := new(action.Configuration)
	if err := config.Init(cluster, namespace, storage, debug); err != nil {
		return nil, fmt.Errorf("prepare Helm: %w", err)
	}
	return &Client{config, namespace}, nil
}

// Install implements Runner.
func (c *Client) Install(ctx context.Context, r Request) (*Release, error) {
	chart, err := r.Chart.checked(r.Values)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(c.config)
	install.ReleaseName, install.Namespace = r.Name, c.namespace
	install.Timeout = r.Timeout
	install.SkipSchemaValidation = true
	install.SkipCRDs = true // they are applied apart, because Helm never upgrades them
	made, err := install.RunWithContext(ctx, chart, r.Values.copy())
	if err != nil {
		return nil, plain(err)
	}
	return newRelease(made), nil
}

// Upgrade implements Runner.
func (c *Client) Upgrade(ctx context.Context, r Request) (*Release, error) {
	return c.upgrade(ctx, r, false)
}

// PlanUpgrade implements Runner.
func (c *Client) PlanUpgrade(ctx context.Context, r Request) (*Release, error) {
	return c.upgrade(ctx, r, true)
}

func (c *Client) upgrade(ctx context.Context, r Request, plan bool) (*Release, error) {
	chart, err := r.Chart.checked(r.Values)
	if err != nil {
		return nil, err
	}
	upgrade := action.NewUpgrade(c.config)
	upgrade.Namespace = c.namespace
	upgrade.Timeout = r.Timeout
	upgrade.SkipSchemaValidation = true
	upgrade.SkipCRDs = true
	upgrade.ResetValues = true // the caller knows which of the old ones stay
	upgrade.CleanupOnFail = true
	upgrade.MaxHistory = historyKept
	if plan {
		upgrade.DryRun, upgrade.DryRunOption = true, "server"
	}
	made, err := upgrade.RunWithContext(ctx, r.Name, chart, r.Values.copy())
	if err != nil {
		return nil, plain(missing(err))
	}
	return newRelease(made), nil
}

// Rollback implements Runner.
func (c *Client) Rollback(_ context.Context, name string, revision int, timeout time.Duration) error {
	rollback := action.NewRollback(c.config)
	rollback.Version = revision
	rollback.Timeout = timeout
	rollback.MaxHistory = historyKept
	rollback.CleanupOnFail = true
	return missing(rollback.Run(name))
}

// Uninstall implements Runner.
func (c *Client) Uninstall(_ context.Context, name string, timeout time.Duration) error {
	uninstall := action.NewUninstall(c.config)
	uninstall.Timeout = timeout
	uninstall.Wait = true
	uninstall.DeletionPropagation = "foreground" // a Deployment is gone when its pods are
	_, err := uninstall.Run(name)
	return missing(err)
}

// Status implements Runner.
func (c *Client) Status(_ context.Context, name string) (*Release, error) {
	last, err := c.config.Releases.Last(name)
	if err != nil {
		return nil, missing(err)
	}
	return newRelease(last), nil
}

// History implements Runner.
func (c *Client) History(_ context.Context, name string) ([]*Release, error) {
	revisions, err := c.config.Releases.History(name)
	if err != nil {
		return nil, missing(err)
	}
	var all []*Release
	for _, r := range revisions {
		all = append(all, newRelease(r))
	}
	slices.SortFunc(all, func(a, b *Release) int { return a.Revision - b.Revision })
	return all, nil
}

// Abandon implements Runner.
func (c *Client) Abandon(_ context.Context, name string) error {
	last, err := c.config.Releases.Last(name)
	if err != nil {
		return missing(err)
	}
	last.SetStatus(release.StatusFailed, "abandoned")
	if err := c.config.Releases.Update(last); err != nil {
		return fmt.Errorf("mark the release as failed: %w", err)
	}
	return nil
}

// Find returns the newest revision of the releases of a name, in all
// namespaces.
func Find(cluster genericclioptions.RESTClientGetter, name string) ([]*Release, error) {
	everywhere, err := New(cluster, "", nil)
	if err != nil {
		return nil, err
	}
	revisions, err := everywhere.config.Releases.List(func(r *release.Release) bool { return r.Name == name })
	if err != nil {
		return nil, err
	}
	newest := make(map[string]*Release)
	for _, r := range revisions {
		if at := newest[r.Namespace]; at == nil || at.Revision < r.Version {
			newest[r.Namespace] = newRelease(r)
		}
	}
	var found []*Release
	for _, r := range newest {
		found = append(found, r)
	}
	slices.SortFunc(found, func(a, b *Release) int { return strings.Compare(a.Namespace, b.Namespace) })
	return found, nil
}

// missing turns what Helm's storage and its actions say about an absent release
// into ErrNoRelease.
func missing(err error) error {
	if errors.Is(err, driver.ErrReleaseNotFound) || errors.Is(err, driver.ErrNoDeployedReleases) {
		return ErrNoRelease
	}
	return err
}
