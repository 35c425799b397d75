package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// InstallOptions say how to install.
type InstallOptions struct {
	Namespace string
	// Values are laid over the chart's own. The image's tag is this program's
	// version unless they say otherwise.
	Values helm.Values
	// Wait waits until all pods are ready.
	Wait bool
	// Timeout bounds the whole installation.
	Timeout time.Duration
	// Dev adds resources to try things out with.
	Dev bool
}

// Install installs the control plane. When it fails it removes what it made,
// but for the CustomResourceDefinitions: to delete them would delete whatever is
// of their kinds. An error about values is a *helm.ValuesError, about rights a
// *kubernetes.MissingRightsError, about pods a *kubernetes.NotReadyError.
func (c *ControlPlane) Install(ctx context.Context, o InstallOptions, report Reporter) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	request, err := c.prepareInstall(ctx, o)
	if err != nil {
		return err
	}
	definitions, err := c.definitions()
	if err != nil {
		return err
	}
	if err := c.applyCRDs(ctx, o.Namespace, definitions, report); err != nil {
		return err
	}
	undo := &undoing{cluster: c.Cluster, namespace: o.Namespace}
	if err := c.install(ctx, o, request, undo, report); err != nil {
		return undo.after(ctx, err, report)
	}
	return nil
}

// prepareInstall finds whatever is wrong while nothing is changed yet.
func (c *ControlPlane) prepareInstall(ctx context.Context, o InstallOptions) (helm.Request, error) {
	server, err := c.Cluster.Reach(ctx)
	if err != nil {
		return helm.Request{}, err
	}
	chart, err := c.chart()
	if err != nil {
		return helm.Request{}, err
	}
	request := helm.Request{Name: release, Chart: chart, Values: o.Values.Clone(), Timeout: o.Timeout}
	c.setTag(request.Values)
	rendered, err := chart.Template(ctx, helm.Target{Release: release, Namespace: o.Namespace, KubeVersion: server.GitVersion}, request.Values)
	if err != nil {
		return helm.Request{}, err
	}
	existing, err := c.installed(ctx, o.Namespace)
	if err != nil {
		return helm.Request{}, err
	}
	if len(existing) > 0 {
		return helm.Request{}, alreadyThere(existing[0])
	}
	objects, err := kubernetes.DecodeObjects([]byte(rendered.Manifest))
	if err != nil {
		return helm.Request{}, fmt.Errorf("rendered chart: %w", err)
	}
	rights := append(rightsFor(objects, "create", "get"), alwaysNeeded(o.Namespace)...)
	if o.Wait {
		rights = append(rights, toWait(o.Namespace)...)
	}
	return request, c.Cluster.Require(ctx, rights)
}

// alreadyThere says what to do about a release that exists.
func alreadyThere(r *helm.Release) error {
	again := fmt.Sprintf("dapr uninstall -k -n %s", r.Namespace)
	switch r.Status {
	case helm.Deployed:
		return fmt.Errorf("version %s is installed already, in the namespace %s; to change it, run \"dapr upgrade -k\", to begin anew, %q first", r.Version, r.Namespace, again)
	case helm.Pending:
		return fmt.Errorf("an installation into the namespace %s has been under way since %s; if nobody is at it any more, run %q first",
			r.Namespace, r.Updated.Format(time.DateTime), again)
	default:
		return fmt.Errorf("an installation in the namespace %s is %s; run %q first", r.Namespace, r.Status, again)
	}
}

// PlanDefinitions says what applying the CustomResourceDefinitions of this
// program would change, for a control plane in a namespace.
func (c *ControlPlane) PlanDefinitions(ctx context.Context, namespace string) ([]kubernetes.CRDChange, error) {
	definitions, err := c.definitions()
	if err != nil {
		return nil, err
	}
	return c.Cluster.PlanCRDs(ctx, inNamespace(definitions, namespace))
}

// ApplyDefinitions applies the CustomResourceDefinitions of this program, as an
// installation does.
func (c *ControlPlane) ApplyDefinitions(ctx context.Context, namespace string) error {
	definitions, err := c.definitions()
	if err != nil {
		return err
	}
	return c.Cluster.ApplyCRDs(ctx, inNamespace(definitions, namespace))
}

func (c *ControlPlane) applyCRDs(ctx context.Context, namespace string, definitions []*unstructured.Unstructured, report Reporter) error {
	done := report.Spin("Applying " + plural(len(definitions), "CustomResourceDefinition"))
	err := c.Cluster.ApplyCRDs(ctx, inNamespace(definitions, namespace))
	done(err)
	return err
}

// inNamespace points the conversion webhook at the namespace of the operator.
func inNamespace(definitions []*unstructured.Unstructured, namespace string) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for _, d := range definitions {
		d = d.DeepCopy()
		where := []string{"spec", "conversion", "webhook", "clientConfig", "service", "namespace"}
		if _, has, _ := unstructured.NestedString(d.Object, where...); has {
			// It is a string in a tree of maps: it can be set.
			_ = unstructured.SetNestedField(d.Object, namespace, where...)
		}
		all = append(all, d)
	}
	return all
}

// install makes what undo takes back.
func (c *ControlPlane) install(ctx context.Context, o InstallOptions, request helm.Request, undo *undoing, report Reporter) error {
	runner, err := c.Helm(o.Namespace)
	if err != nil {
		return err
	}
	done := report.Spin(fmt.Sprintf("Installing version %s into the namespace %s", c.Version, o.Namespace))
	undo.createdNamespace, err = c.Cluster.EnsureNamespace(ctx, o.Namespace)
	if err == nil {
		undo.release = runner
		// Helm goes on in the background when its context ends, which would race
		// with the undoing.
		_, err = runner.Install(context.WithoutCancel(ctx), request)
	}
	if err == nil {
		err = ctx.Err()
	}
	done(err)
	if err != nil {
		return err
	}
	if o.Wait {
		if err := c.Cluster.WaitReady(ctx, o.Namespace, selector, watcher(report)); err != nil {
			return err
		}
	}
	if o.Dev {
		return c.addDev(ctx, report)
	}
	return nil
}

// undoing is what a failed installation leaves behind.
type undoing struct {
	cluster          Cluster
	namespace        string
	createdNamespace bool
	// release is set once there may be one.
	release helm.Runner
}

// after removes what was made, and returns what to tell.
func (u *undoing) after(ctx context.Context, failure error, report Reporter) error {
	if u.release == nil && !u.createdNamespace {
		return failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	done := report.Spin("Removing what was installed")
	err := u.do(ctx)
	done(err)
	if err != nil {
		return fmt.Errorf("%w\nSome of what was installed is still there (%w); run \"dapr uninstall -k -n %s\"", failure, err, u.namespace)
	}
	report.Info("The CustomResourceDefinitions stay; \"dapr uninstall -k --all\" deletes them")
	return failure
}

func (u *undoing) do(ctx context.Context) error {
	if u.release != nil {
		if err := remove(ctx, u.cluster, u.release, u.namespace, undoTimeout); err != nil && !errors.Is(err, helm.ErrNoRelease) {
			return err
		}
	}
	if u.createdNamespace {
		return u.cluster.DeleteNamespace(ctx, u.namespace)
	}
	return nil
}
