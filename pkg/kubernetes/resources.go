package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The plurals of the kinds that the command line lists.
const (
	Components     = "components"
	Configurations = "configurations"
)

// Resource is an object of one of the runtime's kinds.
type Resource struct {
	Namespace, Name string
	Created         time.Time
	// Spec is as the cluster keeps it.
	Spec map[string]any
	// Scopes are the ids of the apps it is for; all when there are none.
	Scopes []string
}

// Resources lists the objects of a kind, by its plural, sorted by namespace and
// name. The empty namespace means all.
func (c *Client) Resources(ctx context.Context, plural, namespace string) ([]Resource, error) {
	kind := schema.GroupVersionResource{Group: "dapr.io", Version: "v1alpha1", Resource: plural}
	var list *unstructured.UnstructuredList
	err := c.ask(ctx, "list "+plural, func(ctx context.Context) (err error) {
		list, err = c.Dynamic.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s does not know %s.dapr.io; is the runtime installed there? \"dapr init -k\" does that", c, plural)
	}
	if err != nil {
		return nil, err
	}
	var all []Resource
	for _, item := range list.Items {
		r := Resource{Namespace: item.GetNamespace(), Name: item.GetName(), Created: item.GetCreationTimestamp().Time}
		r.Spec, _, _ = unstructured.NestedMap(item.Object, "spec")
		r.Scopes, _, _ = unstructured.NestedStringSlice(item.Object, "scopes")
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}
