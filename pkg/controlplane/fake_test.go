package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/helm/helmtest"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// fakeCluster notes what is done to it, and fails when it is told to.
type fakeCluster struct {
	// fail has errors by the name of the method that is to fail with them.
	fail map[string]error
	// log is what was changed, with the reporter's lines in between.
	log []string
	// ready says how the waits end, one after the other; then all are ready.
	ready []error
	// missing are rights that the user does not have.
	missing []kubernetes.Right
	// namespaces, crds and dev are what there is.
	namespaces, crds, dev []string
	sidecars              map[string]int
	server                string
	required              []kubernetes.Right
	applied               []*unstructured.Unstructured
}

func (*fakeCluster) String() string { return `the cluster "test"` }

func (f *fakeCluster) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fakeCluster) Reach(context.Context) (*apiversion.Info, error) {
	if f.server == "" {
		f.server = "v1.33.0"
	}
	return &apiversion.Info{GitVersion: f.server}, f.fail["Reach"]
}

func (f *fakeCluster) Require(_ context.Context, rights []kubernetes.Right) error {
	f.required = rights
	var missing []kubernetes.Right
	for _, r := range f.missing {
		if slices.Contains(rights, r) {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		return &kubernetes.MissingRightsError{Cluster: f.String(), Missing: missing}
	}
	return nil
}

func (f *fakeCluster) EnsureNamespace(_ context.Context, name string) (bool, error) {
	if err := f.fail["EnsureNamespace"]; err != nil {
		return false, err
	}
	if slices.Contains(f.namespaces, name) {
		return false, nil
	}
	f.note("create namespace %s", name)
	f.namespaces = append(f.namespaces, name)
	return true, nil
}

func (f *fakeCluster) DeleteNamespace(ctx context.Context, name string) error {
	f.note("delete namespace %s", name)
	return errors.Join(ctx.Err(), f.fail["DeleteNamespace"])
}

func (f *fakeCluster) DeleteOwnNamespace(_ context.Context, name string) (bool, error) {
	f.note("delete own namespace %s", name)
	return true, nil
}

func (f *fakeCluster) PlanCRDs(_ context.Context, crds []*unstructured.Unstructured) ([]kubernetes.CRDChange, error) {
	var changes []kubernetes.CRDChange
	for _, crd := range crds {
		action := kubernetes.Create
		if slices.Contains(f.crds, crd.GetName()) {
			action = kubernetes.Keep
		}
		changes = append(changes, kubernetes.CRDChange{Name: crd.GetName(), Versions: []string{"v1alpha1"}, Action: action})
	}
	return changes, nil
}

func (f *fakeCluster) ApplyCRDs(_ context.Context, crds []*unstructured.Unstructured) error {
	if len(crds) > 0 {
		f.note("apply %d definitions", len(crds))
	}
	f.applied = crds
	for _, crd := range crds {
		f.crds = append(f.crds, crd.GetName())
	}
	return f.fail["ApplyCRDs"]
}

func (f *fakeCluster) CRDUses(_ context.Context, crds []*unstructured.Unstructured) ([]kubernetes.CRDUse, error) {
	var uses []kubernetes.CRDUse
	for _, crd := range crds {
		if slices.Contains(f.crds, crd.GetName()) {
			uses = append(uses, kubernetes.CRDUse{Name: crd.GetName(), Resources: 2})
		}
	}
	return uses, nil
}

func (f *fakeCluster) DeleteCRDs(_ context.Context, names []string) ([]string, error) {
	f.note("delete %d definitions", len(names))
	return names, f.fail["DeleteCRDs"]
}

func (f *fakeCluster) CreateMissing(_ context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var created []string
	for _, o := range objects {
		if name := o.GetKind() + " " + o.GetName(); !slices.Contains(f.dev, name) {
			created = append(created, name)
		}
	}
	f.note("create %s", strings.Join(created, ", "))
	return created, f.fail["CreateMissing"]
}

func (f *fakeCluster) DeleteOwn(_ context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	f.note("delete %d objects", len(objects))
	return []string{"Component statestore"}, nil
}

func (f *fakeCluster) DeleteLease(_ context.Context, namespace, name string) error {
	f.note("delete the lease %s in %s", name, namespace)
	return f.fail["lease"]
}

func (f *fakeCluster) Orphan(_ context.Context, _, statefulSet string) (func(context.Context) error, error) {
	f.note("orphan %s", statefulSet)
	if err := f.fail["orphan"]; err != nil {
		delete(f.fail, "orphan") // the next time works
		return nil, err
	}
	return func(context.Context) error { f.note("replace the pods of %s", statefulSet); return f.fail["replace"] }, nil
}

func (f *fakeCluster) WaitReady(ctx context.Context, _, _ string, watch kubernetes.Watcher) error {
	done := watch.Begin(kubernetes.Workload{Name: "dapr-operator"})
	var err error
	if len(f.ready) > 0 {
		err, f.ready = f.ready[0], f.ready[1:]
	}
	if wait := (*waitError)(nil); errors.As(err, &wait) {
		wait.interrupt()
		err = ctx.Err()
	}
	done(err)
	return err
}

// waitError stands for somebody who interrupts the wait.
type waitError struct{ interrupt context.CancelFunc }

func (*waitError) Error() string { return "interrupted" }

func (f *fakeCluster) KeepTrust(context.Context, string) (func(context.Context) error, error) {
	return func(context.Context) error { f.note("keep the trust bundle"); return nil }, nil
}

func (*fakeCluster) ExpiryWarning(context.Context, time.Time) string { return "" }

func (f *fakeCluster) SidecarImages(context.Context) (map[string]int, error) {
	return f.sidecars, f.fail["SidecarImages"]
}

// Spin, Info and Warning make the cluster a Reporter, so that its log has
// everything in order.
func (f *fakeCluster) Spin(msg string) func(error) {
	return func(err error) {
		if err != nil {
			f.note("✗ %s", msg)
			return
		}
		f.note("✓ %s", msg)
	}
}

func (f *fakeCluster) Info(format string, args ...any)    { f.note("i "+format, args...) }
func (f *fakeCluster) Warning(format string, args ...any) { f.note("! "+format, args...) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fixture is a ControlPlane over fakes.
type fixture struct {
	*ControlPlane
	cluster *fakeCluster
	helm    *helmtest.Runner
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	cluster := &fakeCluster{fail: make(map[string]error)}
	runner := &helmtest.Runner{Namespace: DefaultNamespace, Fail: make(map[string]error), Now: func() time.Time { return now }}
	return fixture{
		cluster: cluster,
		helm:    runner,
		ControlPlane: &ControlPlane{
			Cluster: cluster,
			Helm: func(namespace string) (helm.Runner, error) {
				if namespace != runner.Namespace && len(runner.Releases) > 0 {
					return &helmtest.Runner{Namespace: namespace}, nil
				}
				runner.Namespace = namespace
				return runner, nil
			},
			Find: func(name string) ([]*helm.Release, error) {
				if err := runner.Fail["Find"]; err != nil {
					return nil, err
				}
				r, err := runner.Status(t.Context(), name)
				if errors.Is(err, helm.ErrNoRelease) {
					return nil, nil
				}
				return []*helm.Release{r}, err
			},
			Version: "1.2.3",
			Now:     func() time.Time { return now },
		},
	}
}

func (f fixture) mustInstall(t *testing.T, expressions ...string) {
	t.Helper()
	v := helm.Values{}
	for _, e := range expressions {
		if err := v.Set(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Install(t.Context(), InstallOptions{Namespace: DefaultNamespace, Values: v, Timeout: time.Minute}, f.cluster); err != nil {
		t.Fatal(err)
	}
	f.cluster.log, f.helm.Calls = nil, nil
}
