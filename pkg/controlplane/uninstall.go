package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// lease is what the operator's replicas elect a leader by. They make it, so Helm
// does not know of it.
const lease = "operator.dapr.io"

// UninstallOptions say what to remove.
type UninstallOptions struct {
	Namespace string
	// All removes the CustomResourceDefinitions too, and with them every
	// Component, Configuration and so on of all apps; and the namespace, when the
	// installation made it and no pods are in it.
	All bool
	// Dev removes what InstallOptions.Dev created.
	Dev     bool
	Timeout time.Duration
}

// Removal is an uninstallation that nothing was done of yet.
type Removal struct {
	Namespace string
	// Version is that of the control plane, "" when there is none.
	Version string
	// Elsewhere are other namespaces with a control plane.
	Elsewhere []string
	// CRDs are the CustomResourceDefinitions that go, with what is of their kinds.
	CRDs []kubernetes.CRDUse

	options UninstallOptions
	runner  helm.Runner
	// missing are CustomResourceDefinitions that Helm needs to remove the release.
	missing []*unstructured.Unstructured
}

// PlanUninstall works out what there is to remove, and finds whatever is in the
// way of that.
func (c *ControlPlane) PlanUninstall(ctx context.Context, o UninstallOptions) (*Removal, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if _, err := c.Cluster.Reach(ctx); err != nil {
		return nil, err
	}
	r := &Removal{Namespace: o.Namespace, options: o}
	rights, err := c.planRelease(ctx, r)
	if err != nil {
		return nil, err
	}
	definitions, err := c.definitions()
	if err != nil {
		return nil, err
	}
	used, err := c.Cluster.CRDUses(ctx, definitions)
	if err != nil {
		return nil, err
	}
	r.missing = slices.DeleteFunc(inNamespace(definitions, o.Namespace), func(d *unstructured.Unstructured) bool {
		return slices.ContainsFunc(used, func(u kubernetes.CRDUse) bool { return u.Name == d.GetName() })
	})
	if o.All {
		r.CRDs = used
		for _, verb := range []string{"delete", "get", "patch"} {
			rights = append(rights, kubernetes.Right{Verb: verb, Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"})
		}
	}
	return r, c.Cluster.Require(ctx, rights)
}

// planRelease looks for the release, and returns the rights to remove it.
func (c *ControlPlane) planRelease(ctx context.Context, r *Removal) ([]kubernetes.Right, error) {
	var err error
	if r.runner, err = c.Helm(r.Namespace); err != nil {
		return nil, err
	}
	found, err := r.runner.Status(ctx, release)
	if errors.Is(err, helm.ErrNoRelease) {
		elsewhere, err := c.installed(ctx, r.Namespace)
		for _, other := range elsewhere {
			r.Elsewhere = append(r.Elsewhere, other.Namespace)
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("look for the release %s in the namespace %s: %w", release, r.Namespace, err)
	}
	r.Version = found.Version
	objects, err := kubernetes.DecodeObjects([]byte(found.Manifest))
	if err != nil {
		return nil, fmt.Errorf("manifest of revision %d: %w", found.Revision, err)
	}
	rights := rightsFor(objects, "delete", "get")
	for _, verb := range []string{"delete", "get", "list", "update"} {
		rights = append(rights, kubernetes.Right{Verb: verb, Resource: "secrets", Namespace: r.Namespace})
	}
	return append(rights, toRemove(r.Namespace)), nil
}

// Absence says that there is no control plane to remove, and where there is one
// instead; it is empty when there is one.
func (r *Removal) Absence() string {
	switch {
	case r.Version != "":
		return ""
	case len(r.Elsewhere) > 0:
		return fmt.Sprintf("There is no control plane in the namespace %s, but there is one in %s: say so with --namespace", r.Namespace, strings.Join(r.Elsewhere, ", "))
	default:
		return "There is no control plane in the namespace " + r.Namespace
	}
}

// Uninstall does what was planned. Pods keep the sidecars that they have.
func (c *ControlPlane) Uninstall(ctx context.Context, r *Removal, report Reporter) error {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	if r.options.Dev {
		if err := c.removeDev(ctx, report); err != nil {
			return err
		}
	}
	if r.Version != "" {
		if err := c.removeRelease(ctx, r, report); err != nil {
			return err
		}
	}
	if !r.options.All {
		return nil
	}
	if err := c.removeCRDs(ctx, r, report); err != nil {
		return err
	}
	deleted, err := c.Cluster.DeleteOwnNamespace(ctx, r.Namespace)
	if err == nil && deleted {
		report.Info("Deleted the namespace %s", r.Namespace)
	}
	return err
}

func (c *ControlPlane) removeRelease(ctx context.Context, r *Removal, report Reporter) error {
	done := report.Spin(fmt.Sprintf("Removing version %s from the namespace %s", r.Version, r.Namespace))
	// Helm asks the cluster about the kinds of all objects, and one of them is
	// ours: without its definition nothing could be removed.
	err := c.Cluster.ApplyCRDs(ctx, r.missing)
	if err == nil {
		err = remove(context.WithoutCancel(ctx), c.Cluster, r.runner, r.Namespace, r.options.Timeout)
	}
	done(err)
	return err
}

// remove removes the release, and what only its pods have made.
func remove(ctx context.Context, cluster Cluster, runner helm.Runner, namespace string, timeout time.Duration) error {
	if err := runner.Uninstall(ctx, release, timeout); err != nil {
		return err
	}
	// The replicas have lost the right to make it anew by now.
	return cluster.DeleteLease(ctx, namespace, lease)
}

func (c *ControlPlane) removeCRDs(ctx context.Context, r *Removal, report Reporter) error {
	var names []string
	for _, u := range r.CRDs {
		names = append(names, u.Name)
	}
	done := report.Spin("Deleting the CustomResourceDefinitions, and all resources of their kinds")
	deleted, err := c.Cluster.DeleteCRDs(ctx, names)
	done(err)
	if err == nil && len(deleted) > 0 {
		report.Info("Deleted %s", strings.Join(deleted, ", "))
	}
	return err
}

func (c *ControlPlane) removeDev(ctx context.Context, report Reporter) error {
	objects, err := devObjects()
	if err != nil {
		return err
	}
	deleted, err := c.Cluster.DeleteOwn(ctx, objects)
	if err == nil && len(deleted) > 0 {
		report.Info("Deleted from the namespace default: %s", strings.Join(deleted, ", "))
	}
	return err
}
