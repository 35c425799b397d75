// Package helm installs, upgrades and removes the control plane in a cluster,
// with Helm's own library over a chart that is compiled in: no other program is
// called, and nothing is downloaded. What it makes is a release like any other,
// so that the program helm can look at it.
package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/release/common"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
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

// stored is a release as Helm keeps it: in the one format that Helm 3 and 4
// both write.
func stored(r release.Releaser) (*releasev1.Release, error) {
	known, ok := r.(*releasev1.Release)
	if !ok {
		return nil, fmt.Errorf("a release is of a kind that this version does not know: %T", r)
	}
	return known, nil
}

func newRelease(found release.Releaser) (*Release, error) {
	r, err := stored(found)
	if err != nil {
		return nil, err
	}
	made := &Release{
		Name: r.Name, Namespace: r.Namespace, Revision: r.Version,
		Values: Values(r.Config), Manifest: r.Manifest, Status: Failed,
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		made.Chart, made.Version = r.Chart.Metadata.Name, r.Chart.Metadata.AppVersion
	}
	if r.Info == nil {
		return made, nil
	}
	made.Updated, made.Notes = r.Info.LastDeployed, r.Info.Notes
	switch {
	case r.Info.Status.IsPending(), r.Info.Status == common.StatusUninstalling:
		made.Status = Pending
	case r.Info.Status == common.StatusDeployed:
		made.Status = Deployed
	case r.Info.Status == common.StatusSuperseded:
		made.Status = Superseded
	}
	return made, nil
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
	config := action.NewConfiguration(action.ConfigurationSetLogger(logTo(debug)))
	if err := config.Init(cluster, namespace, storage); err != nil {
		return nil, fmt.Errorf("prepare Helm: %w", err)
	}
	return &Client{config, namespace}, nil
}

// logTo is where Helm's own log goes: never to the terminal of a user, who is
// told in other words.
func logTo(debug func(format string, args ...any)) slog.Handler {
	if debug == nil {
		return slog.DiscardHandler
	}
	return slog.NewTextHandler(lines(debug), &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
}

// lines is a Writer of whole lines.
type lines func(format string, args ...any)

func (l lines) Write(line []byte) (int, error) {
	l("%s", bytes.TrimSuffix(line, []byte("\n")))
	return len(line), nil
}

// The objects of a release are merged here, three ways: what the last revision
// had, what is there, what is to be. That is how Helm 3 made all releases, and
// how the program helm goes on with one that says so. Helm 4 would let the
// server apply a new one. Then a field that somebody else has set is a conflict
// and ends the upgrade, and "helm" is somebody else to this program, as is
// "kubectl edit"; here, the chart's word counts for the fields that it names,
// and those it does not name, such as the roots that the injector writes into
// its own webhook, are let alone.
const (
	serverApplies      = false
	serverAppliesLater = "false" // upgrades could also go on as before, by "auto"
)

// Install implements Runner.
func (c *Client) Install(ctx context.Context, r Request) (*Release, error) {
	chart, err := r.Chart.checked(r.Values)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(c.config)
	install.ReleaseName, install.Namespace = r.Name, c.namespace
	install.Timeout = r.Timeout
	install.ServerSideApply = serverApplies
	install.WaitStrategy = kube.HookOnlyStrategy
	install.SkipSchemaValidation = true
	install.SkipCRDs = true // they are applied apart, because Helm never upgrades them
	made, err := install.RunWithContext(ctx, chart, r.Values.copy())
	if err != nil {
		return nil, plain(err)
	}
	return newRelease(made)
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
	upgrade.ServerSideApply = serverAppliesLater
	upgrade.WaitStrategy = kube.HookOnlyStrategy
	upgrade.SkipSchemaValidation = true
	upgrade.SkipCRDs = true
	upgrade.ResetValues = true // the caller knows which of the old ones stay
	upgrade.CleanupOnFail = true
	upgrade.MaxHistory = historyKept
	if plan {
		upgrade.DryRunStrategy = action.DryRunServer
	}
	made, err := upgrade.RunWithContext(ctx, r.Name, chart, r.Values.copy())
	if err != nil {
		return nil, plain(missing(err))
	}
	return newRelease(made)
}

// Rollback implements Runner.
func (c *Client) Rollback(_ context.Context, name string, revision int, timeout time.Duration) error {
	rollback := action.NewRollback(c.config)
	rollback.Version = revision
	rollback.Timeout = timeout
	rollback.ServerSideApply = serverAppliesLater
	rollback.WaitStrategy = kube.HookOnlyStrategy
	rollback.MaxHistory = historyKept
	// Not CleanupOnFail, which would take away what has been brought back so far,
	// and tells of that instead of what went wrong.
	return missing(rollback.Run(name))
}

// Uninstall implements Runner.
func (c *Client) Uninstall(_ context.Context, name string, timeout time.Duration) error {
	uninstall := action.NewUninstall(c.config)
	uninstall.Timeout = timeout
	uninstall.WaitStrategy = kube.LegacyStrategy // needs the right to get objects, not to watch all of their kinds
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
	return newRelease(last)
}

// History implements Runner.
func (c *Client) History(_ context.Context, name string) ([]*Release, error) {
	revisions, err := c.config.Releases.History(name)
	if err != nil {
		return nil, missing(err)
	}
	var all []*Release
	for _, found := range revisions {
		r, err := newRelease(found)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Release) int { return a.Revision - b.Revision })
	return all, nil
}

// Abandon implements Runner.
func (c *Client) Abandon(_ context.Context, name string) error {
	newest, err := c.config.Releases.Last(name)
	if err != nil {
		return missing(err)
	}
	last, err := stored(newest)
	if err != nil {
		return err
	}
	last.SetStatus(common.StatusFailed, "abandoned")
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
	revisions, err := everywhere.config.Releases.List(func(r release.Releaser) bool {
		known, err := stored(r)
		return err == nil && known.Name == name
	})
	if err != nil {
		return nil, err
	}
	newest := make(map[string]*Release)
	for _, found := range revisions {
		r, err := newRelease(found)
		if err != nil {
			return nil, err
		}
		if at := newest[r.Namespace]; at == nil || at.Revision < r.Revision {
			newest[r.Namespace] = r
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
