package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hyperdapr/dapr/pkg/inject"
)

// Object is one Kubernetes object of a document, as it was read.
type Object struct {
	doc   *Document
	path  []string // from the document's root
	value map[string]any
}

// Kind is the object's, such as "Deployment".
func (o *Object) Kind() string { return stringAt(o.value, "kind") }

// Name is the object's, or what its name will begin with.
func (o *Object) Name() string {
	return cmp.Or(stringAt(o.value, "metadata", "name"), stringAt(o.value, "metadata", "generateName"))
}

// Namespace is the object's; empty where the manifest leaves it open.
func (o *Object) Namespace() string { return stringAt(o.value, "metadata", "namespace") }

// Annotations are the object's own.
func (o *Object) Annotations() map[string]string {
	m, _ := valueAt(o.value, "metadata", "annotations").(map[string]any)
	out := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// Decode reads the object into a value, as encoding/json does.
func (o *Object) Decode(into any) error {
	text, err := json.Marshal(o.value)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	return o.wrap(err)
}

// String names the object for people: "Deployment nodeapp (node.yaml)".
func (o *Object) String() string {
	return fmt.Sprintf("%s %s (%s)", o.Kind(), cmp.Or(o.Name(), "without a name"), o.doc.Source)
}

func (o *Object) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", o, err)
}

// templates are where kinds keep their pods.
var templates = map[string][]string{
	"Pod":                   {},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"Deployment":            {"spec", "template"},
	"Job":                   {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"ReplicationController": {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
}

// PodKinds lists the kinds that have pods.
func PodKinds() []string { return slices.Sorted(maps.Keys(templates)) }

// HasPod tells whether the object is a pod or makes some.
func (o *Object) HasPod() bool {
	_, ok := templates[o.Kind()]
	return ok
}

// Pod is the pod of the object, or those it makes, in the object's namespace.
func (o *Object) Pod() (*corev1.Pod, error) {
	template, ok := valueAt(o.value, templates[o.Kind()]...).(map[string]any)
	if !ok {
		return nil, o.wrap(fmt.Errorf("there is no %s", strings.Join(templates[o.Kind()], ".")))
	}
	if err := checkAnnotations(template); err != nil {
		return nil, o.wrap(err)
	}
	text, err := json.Marshal(map[string]any{"metadata": template["metadata"], "spec": template["spec"]})
	if err != nil {
		return nil, o.wrap(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(text, &pod); err != nil {
		return nil, o.wrap(err)
	}
	pod.Namespace = cmp.Or(pod.Namespace, o.Namespace())
	return &pod, nil
}

// checkAnnotations names the mistake that everybody makes once.
func checkAnnotations(template map[string]any) error {
	annotations, _ := valueAt(template, "metadata", "annotations").(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if v := annotations[key]; v != nil {
			if _, ok := v.(string); !ok {
				return fmt.Errorf("annotation %s is %v, which is no text: write \"%[2]v\", with quotes", key, v)
			}
		}
	}
	return nil
}

// Annotate sets an annotation of the pod.
func (o *Object) Annotate(key, value string) error {
	return o.change(append(slices.Clone(templates[o.Kind()]), "metadata", "annotations", key), value)
}

// Patch changes the pod.
func (o *Object) Patch(p inject.Patch) error {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, op := range p {
		path := slices.Clone(templates[o.Kind()])
		for segment := range strings.SplitSeq(strings.TrimPrefix(op.Path, "/"), "/") {
			path = append(path, unescape.Replace(segment))
		}
		if err := o.change(path, op.Value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Object) change(path []string, value any) error {
	root, err := o.doc.change()
	if err != nil {
		return err
	}
	return o.wrap(add(root, append(slices.Clone(o.path), path...), value))
}

func valueAt(value any, path ...string) any {
	for _, key := range path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = m[key]
	}
	return value
}

func stringAt(value any, path ...string) string {
	s, _ := valueAt(value, path...).(string)
	return s
}
