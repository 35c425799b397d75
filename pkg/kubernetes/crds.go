package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is how often something in the cluster is looked at again.
const pollInterval = 200 * time.Millisecond

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// What a plan does with an object.
const (
	Create = "create"
	Change = "change"
	Delete = "delete"
	Keep   = "keep"
)

// CRDChange is what applying a CustomResourceDefinition does.
type CRDChange struct {
	Name string
	// Versions are those that are served afterwards.
	Versions []string
	// Action is Create, Change or Keep.
	Action string
}

// PlanCRDs says what ApplyCRDs would do. The server works it out, so that its
// defaults do not look like changes.
func (c *Client) PlanCRDs(ctx context.Context, crds []*unstructured.Unstructured) ([]CRDChange, error) {
	var changes []CRDChange
	for _, crd := range crds {
		change := CRDChange{Name: crd.GetName(), Versions: servedVersions(crd)}
		live, err := c.Dynamic.Resource(crdResource).Get(ctx, crd.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			change.Action = Create
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", crd.GetName(), err)
		default:
			then, err := c.applyCRD(ctx, crd, metav1.DryRunAll)
			if err != nil {
				return nil, err
			}
			change.Action = Keep
			if !equality.Semantic.DeepEqual(live.Object["spec"], then.Object["spec"]) {
				change.Action = Change
			}
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// ApplyCRDs creates or changes CustomResourceDefinitions and waits until they
// are served. What others own of them stays, such as the certificate of the
// conversion webhook.
func (c *Client) ApplyCRDs(ctx context.Context, crds []*unstructured.Unstructured) error {
	for _, crd := range crds {
		if _, err := c.applyCRD(ctx, crd); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if err := c.waitEstablished(ctx, crd.GetName()); err != nil {
			return err
		}
	}
	if cached, err := c.getter.ToDiscoveryClient(); err == nil {
		cached.Invalidate() // it may know the group without the new kinds
	}
	return nil
}

func (c *Client) applyCRD(ctx context.Context, crd *unstructured.Unstructured, dryRun ...string) (*unstructured.Unstructured, error) {
	// Force: whoever applied an older one with another tool loses its fields.
	applied, err := c.Dynamic.Resource(crdResource).Apply(ctx, crd.GetName(), crd,
		metav1.ApplyOptions{FieldManager: FieldManager, Force: true, DryRun: dryRun})
	if err != nil {
		return nil, fmt.Errorf("apply the CustomResourceDefinition %s: %w", crd.GetName(), err)
	}
	return applied, nil
}

func (c *Client) waitEstablished(ctx context.Context, name string) error {
	var last string
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		crd, err := c.Dynamic.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		for _, item := range conditions {
			condition, _ := item.(map[string]any)
			switch {
			case condition["type"] == "Established" && condition["status"] == "True":
				return true, nil
			case condition["status"] == "False":
				last = fmt.Sprint(condition["message"])
			}
		}
		return false, nil
	})
	if err != nil && last != "" {
		return fmt.Errorf("the CustomResourceDefinition %s is not served: %s", name, last)
	}
	if err != nil {
		return fmt.Errorf("wait for the CustomResourceDefinition %s: %w", name, err)
	}
	return nil
}

// CRDUse is a CustomResourceDefinition that the cluster has.
type CRDUse struct {
	Name string
	// Resources counts what is of its kind, in all namespaces.
	Resources int
}

// CRDUses returns those that the cluster has.
func (c *Client) CRDUses(ctx context.Context, crds []*unstructured.Unstructured) ([]CRDUse, error) {
	var uses []CRDUse
	for _, crd := range crds {
		live, err := c.Dynamic.Resource(crdResource).Get(ctx, crd.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", crd.GetName(), err)
		}
		// A user who may not look at all of them may still remove the definition.
		list, err := c.Dynamic.Resource(stored(live)).List(ctx, metav1.ListOptions{})
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("list %s: %w", crd.GetName(), err)
		}
		use := CRDUse{Name: crd.GetName()}
		if list != nil {
			use.Resources = len(list.Items)
		}
		uses = append(uses, use)
	}
	return uses, nil
}

// stored names the resource of a definition in the version that needs no
// conversion.
func stored(crd *unstructured.Unstructured) schema.GroupVersionResource {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	r := schema.GroupVersionResource{Group: group, Resource: plural}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, item := range versions {
		if v, _ := item.(map[string]any); v["storage"] == true {
			r.Version, _ = v["name"].(string)
		}
	}
	return r
}

// DeleteCRDs deletes CustomResourceDefinitions, and with them every resource
// of their kinds, and waits until they are gone. It returns the names of those
// that were there.
func (c *Client) DeleteCRDs(ctx context.Context, names []string) ([]string, error) {
	crds := c.Dynamic.Resource(crdResource)
	var deleted []string
	for _, name := range names {
		// The server converts what it deletes, and the webhook that would do it is
		// perhaps gone already.
		plain := []byte(`{"spec":{"conversion":{"strategy":"None","webhook":null}}}`)
		_, err := crds.Patch(ctx, name, types.MergePatchType, plain, metav1.PatchOptions{FieldManager: FieldManager})
		if err == nil {
			err = crds.Delete(ctx, name, metav1.DeleteOptions{})
		}
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return deleted, fmt.Errorf("delete the CustomResourceDefinition %s: %w", name, err)
		default:
			deleted = append(deleted, name)
		}
	}
	for _, name := range deleted {
		err := waitGone(ctx, func(ctx context.Context) error {
			_, err := crds.Get(ctx, name, metav1.GetOptions{})
			return err
		})
		if err != nil {
			return deleted, fmt.Errorf("wait for the end of the CustomResourceDefinition %s: %w", name, err)
		}
	}
	return deleted, nil
}

// servedVersions are sorted.
func servedVersions(crd *unstructured.Unstructured) []string {
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	var served []string
	for _, item := range versions {
		if v, ok := item.(map[string]any); ok && v["served"] == true {
			served = append(served, fmt.Sprint(v["name"]))
		}
	}
	slices.Sort(served)
	return served
}
