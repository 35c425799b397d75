// Package controlplane is the control plane in a cluster, as whoever installs
// it sees it: the release of an embedded Helm chart, and the
// CustomResourceDefinitions, which are applied apart because Helm never upgrades
// those. It installs, upgrades and removes both, and undoes what ends half-way.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/version"
)

// DefaultNamespace is where the control plane is unless told otherwise.
const DefaultNamespace = "dapr-system"

const (
	// release is the name of the Helm release.
	release = "dapr"
	// selector finds the Deployments and StatefulSets of the release.
	selector = "app.kubernetes.io/part-of=dapr,app.kubernetes.io/instance=" + release
	// undoTimeout bounds the undoing of what ended half-way, which begins when the
	// time for the work itself may be over.
	undoTimeout = 2 * time.Minute
)

// Cluster is what is needed of a cluster; *kubernetes.Client is one, and
// documents the methods.
type Cluster interface {
	fmt.Stringer
	Reach(ctx context.Context) (*apiversion.Info, error)
	Require(ctx context.Context, rights []kubernetes.Right) error
	EnsureNamespace(ctx context.Context, name string) (created bool, err error)
	DeleteNamespace(ctx context.Context, name string) error
	DeleteOwnNamespace(ctx context.Context, name string) (deleted bool, err error)
	PlanCRDs(ctx context.Context, crds []*unstructured.Unstructured) ([]kubernetes.CRDChange, error)
	ApplyCRDs(ctx context.Context, crds []*unstructured.Unstructured) error
	CRDUses(ctx context.Context, crds []*unstructured.Unstructured) ([]kubernetes.CRDUse, error)
	DeleteCRDs(ctx context.Context, names []string) ([]string, error)
	CreateMissing(ctx context.Context, objects []*unstructured.Unstructured) (created []string, err error)
	DeleteOwn(ctx context.Context, objects []*unstructured.Unstructured) (deleted []string, err error)
	DeleteLease(ctx context.Context, namespace, name string) error
	Orphan(ctx context.Context, namespace, statefulSet string) (replace func(context.Context) error, err error)
	WaitReady(ctx context.Context, namespace, selector string, watch kubernetes.Watcher) error
	KeepTrust(ctx context.Context, namespace string) (restore func(context.Context) error, err error)
	ExpiryWarning(ctx context.Context, now time.Time) string
	SidecarImages(ctx context.Context) (map[string]int, error)
}

// Reporter is told how the work goes on.
type Reporter interface {
	// Spin says that something is under way, until done is called.
	Spin(msg string) (done func(error))
	Info(format string, args ...any)
	Warning(format string, args ...any)
}

// ControlPlane is that of one cluster, and what this program would make of it.
type ControlPlane struct {
	Cluster Cluster
	// Helm returns the releases of a namespace.
	Helm func(namespace string) (helm.Runner, error)
	// Find returns the newest revisions of the releases of a name, in all
	// namespaces. It fails for users who cannot look into all of them.
	Find func(name string) ([]*helm.Release, error)
	// Version is that of this program, of the chart and of the image.
	Version string
	// Now is the clock.
	Now func() time.Time
}

// Of returns the control plane of a cluster.
func Of(cluster *kubernetes.Client) *ControlPlane {
	return &ControlPlane{
		Cluster: cluster,
		Helm: func(namespace string) (helm.Runner, error) {
			return helm.New(cluster.Getter(), namespace, nil)
		},
		Find:    func(name string) ([]*helm.Release, error) { return helm.Find(cluster.Getter(), name) },
		Version: version.Version(),
		Now:     time.Now,
	}
}

func (c *ControlPlane) chart() (*helm.Chart, error) { return helm.Load(embed.Chart(), c.Version) }

// versionLabel is where tools look for the version of what an object belongs to.
const versionLabel = "app.kubernetes.io/version"

// definitions are the CustomResourceDefinitions, with the version that they are
// of.
func (c *ControlPlane) definitions() ([]*unstructured.Unstructured, error) {
	objects, err := kubernetes.ReadObjects(embed.CRDs())
	if err != nil {
		return nil, fmt.Errorf("CustomResourceDefinitions: %w", err)
	}
	for _, o := range objects {
		labels := o.GetLabels()
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[versionLabel] = strings.ReplaceAll(c.Version, "+", "_") // which a label may not have
		o.SetLabels(labels)
	}
	return objects, nil
}

// Release returns the newest revision of the release in a namespace, or nil when
// there is none.
func (c *ControlPlane) Release(ctx context.Context, namespace string) (*helm.Release, error) {
	runner, err := c.Helm(namespace)
	if err != nil {
		return nil, err
	}
	found, err := runner.Status(ctx, release)
	switch {
	case errors.Is(err, helm.ErrNoRelease):
		return nil, nil //nolint:nilnil // no release is no error
	case err != nil:
		return nil, fmt.Errorf("look for the release %s in the namespace %s: %w", release, namespace, err)
	}
	return found, nil
}

// installed returns the newest revisions of the releases in all namespaces, or
// of the one in the given namespace for users who can look no further.
func (c *ControlPlane) installed(ctx context.Context, namespace string) ([]*helm.Release, error) {
	if found, err := c.Find(release); err == nil {
		return found, nil
	}
	found, err := c.Release(ctx, namespace)
	if found == nil || err != nil {
		return nil, err
	}
	return []*helm.Release{found}, nil
}

// setTag chooses the image of this program's version, unless values say otherwise.
func (c *ControlPlane) setTag(v helm.Values) {
	if v.Text("global", "tag") == "" {
		v.Put(c.Version, "global", "tag")
	}
}

// watcher shows the wait for every workload.
func watcher(report Reporter) kubernetes.Watcher {
	return kubernetes.Watcher{
		Begin: func(w kubernetes.Workload) func(error) { return report.Spin("Waiting for " + w.Name) },
		Note:  func(t kubernetes.Trouble) { report.Warning("%s", t) },
	}
}

// plural is "1 object" or "2 objects".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		noun = strings.TrimSuffix(noun, "y") + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
