package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// ownLabel with FieldManager marks what this program made outside of a Helm
// release, and may delete again.
const ownLabel = "app.kubernetes.io/managed-by"

// ReadObjects returns the objects of all YAML files of a folder, in the order
// of the files' names.
func ReadObjects(files fs.FS) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		more, err := DecodeObjects(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, more...)
		return nil
	})
	return objects, err
}

// DecodeObjects returns the objects of a YAML text of several documents.
func DecodeObjects(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

// CreateMissing creates objects that are not there, as this program's own, and
// returns their names.
func (c *Client) CreateMissing(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var created []string
	for _, o := range objects {
		resource, err := c.resourceOf(o)
		if err != nil {
			return created, err
		}
		o = o.DeepCopy()
		o.SetLabels(map[string]string{ownLabel: FieldManager})
		_, err = resource.Create(ctx, o, metav1.CreateOptions{FieldManager: FieldManager})
		switch {
		case apierrors.IsAlreadyExists(err):
		case err != nil:
			return created, fmt.Errorf("create %s: %w", nameOf(o), err)
		default:
			created = append(created, nameOf(o))
		}
	}
	return created, nil
}

// Apply creates objects, or changes what of them the given ones say.
func (c *Client) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		resource, err := c.resourceOf(o)
		if err != nil {
			return err
		}
		err = c.ask(ctx, "apply "+nameOf(o), func(ctx context.Context) error {
			_, err := resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteOwn deletes those of the objects that CreateMissing made, and returns
// their names.
func (c *Client) DeleteOwn(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var deleted []string
	for _, o := range objects {
		resource, err := c.resourceOf(o)
		if meta.IsNoMatchError(err) {
			continue // without the kind there are no objects
		}
		if err != nil {
			return deleted, err
		}
		live, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
		if err == nil && live.GetLabels()[ownLabel] != FieldManager {
			continue
		}
		if err == nil {
			err = resource.Delete(ctx, o.GetName(), metav1.DeleteOptions{})
		}
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return deleted, fmt.Errorf("delete %s: %w", nameOf(o), err)
		default:
			deleted = append(deleted, nameOf(o))
		}
	}
	return deleted, nil
}

// Delete deletes objects, and waits until they and what they own are gone. It
// returns the names of those that were there. ctx bounds the wait.
func (c *Client) Delete(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var deleted []string
	var gone []func(context.Context) error
	for _, o := range objects {
		resource, err := c.resourceOf(o)
		if meta.IsNoMatchError(err) {
			continue // without the kind there are no objects
		}
		if err != nil {
			return deleted, err
		}
		// Foreground: an object stays until the last of its pods has ended.
		policy := metav1.DeletePropagationForeground
		err = c.ask(ctx, "delete "+nameOf(o), func(ctx context.Context) error {
			return resource.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &policy})
		})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return deleted, err
		default:
			deleted = append(deleted, nameOf(o))
			gone = append(gone, func(ctx context.Context) error {
				return waitGone(ctx, func(ctx context.Context) error {
					_, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
					return err
				})
			})
		}
	}
	for i, waitFor := range gone {
		if err := waitFor(ctx); err != nil {
			return deleted, fmt.Errorf("wait until the %s is gone: %w", deleted[i], err)
		}
	}
	return deleted, nil
}

// waitGone looks again and again, until what is looked for is not found.
func waitGone(ctx context.Context, look func(context.Context) error) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := look(ctx)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

func (c *Client) resourceOf(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	mapper, err := c.getter.ToRESTMapper()
	if err != nil {
		return nil, err
	}
	gvk := o.GroupVersionKind()
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(o), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.Dynamic.Resource(mapping.Resource), nil
	}
	return c.Dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

func nameOf(o *unstructured.Unstructured) string { return o.GetKind() + " " + o.GetName() }
