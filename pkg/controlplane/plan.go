package controlplane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// ImageChange is another image for a container.
type ImageChange struct {
	// Of is a workload's container, or the sidecars.
	Of       string
	From, To string
}

// ObjectChange is what an upgrade does to an object.
type ObjectChange struct {
	// Action is "create", "change" or "delete".
	Action     string
	Kind, Name string
}

// sidecars is what ImageChange.Of calls the image that new pods get.
const sidecars = "sidecars of new pods"

// compare fills the plan with what is different in the next revision.
func (p *Plan) compare(previous, next *helm.Release) error {
	old, err := byKey(previous)
	if err != nil {
		return err
	}
	now, err := byKey(next)
	if err != nil {
		return err
	}
	all := maps.Clone(old)
	maps.Copy(all, now)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		change := ObjectChange{Kind: all[key].GetKind(), Name: all[key].GetName()}
		switch was, is := old[key], now[key]; {
		case was == nil:
			change.Action = kubernetes.Create
		case is == nil:
			change.Action = kubernetes.Delete
		case equality.Semantic.DeepEqual(was.Object, is.Object):
			continue
		default:
			change.Action = kubernetes.Change
			if change.Kind == "StatefulSet" && !equality.Semantic.DeepEqual(fixed(was), fixed(is)) {
				p.Recreated = append(p.Recreated, change.Name)
			}
		}
		p.Objects = append(p.Objects, change)
	}
	p.Images = imageChanges(images(old), images(now))
	p.sidecar = images(now)[sidecars]
	return nil
}

func byKey(r *helm.Release) (map[string]*unstructured.Unstructured, error) {
	objects, err := kubernetes.DecodeObjects([]byte(r.Manifest))
	if err != nil {
		return nil, fmt.Errorf("manifest of revision %d: %w", r.Revision, err)
	}
	all := make(map[string]*unstructured.Unstructured, len(objects))
	for _, o := range objects {
		all[fmt.Sprintf("%s %s %s", o.GetKind(), o.GetNamespace(), o.GetName())] = o
	}
	return all, nil
}

// fixed is what of a StatefulSet can never be changed.
func fixed(set *unstructured.Unstructured) map[string]any {
	spec, _, _ := unstructured.NestedMap(set.Object, "spec")
	for _, changeable := range []string{
		"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
		"persistentVolumeClaimRetentionPolicy", "minReadySeconds",
	} {
		delete(spec, changeable)
	}
	return spec
}

// images are those of the containers, and that of the sidecars, which is in the
// environment of the injector.
func images(objects map[string]*unstructured.Unstructured) map[string]string {
	all := make(map[string]string)
	for _, o := range objects {
		maps.Copy(all, imagesOf(o))
	}
	return all
}

func imagesOf(o *unstructured.Unstructured) map[string]string {
	all := make(map[string]string)
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	for _, item := range containers {
		container, _ := item.(map[string]any)
		image, _ := container["image"].(string)
		all[fmt.Sprintf("%s/%v", o.GetName(), container["name"])] = image
		env, _ := container["env"].([]any)
		for _, item := range env {
			if variable, _ := item.(map[string]any); variable["name"] == "SIDECAR_IMAGE" {
				all[sidecars], _ = variable["value"].(string)
			}
		}
	}
	return all
}

func imageChanges(old, now map[string]string) []ImageChange {
	var changes []ImageChange
	for of, to := range now {
		if from := old[of]; from != "" && from != to {
			changes = append(changes, ImageChange{of, from, to})
		}
	}
	slices.SortFunc(changes, func(a, b ImageChange) int { return cmp.Compare(a.Of, b.Of) })
	return changes
}
