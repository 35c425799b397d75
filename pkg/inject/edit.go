package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Operation is one step of a JSON Patch; all of ours add.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Patch is a JSON Patch (RFC 6902).
type Patch []Operation

// JSON is the patch in the form of the admission protocol.
func (p Patch) JSON() ([]byte, error) { return json.Marshal(p) }

// edit changes a pod and notes each change. The steps are made along with the
// changes, not by comparing two pods: a field that this version of the types
// does not know must survive.
type edit struct {
	pod   *corev1.Pod
	patch Patch
}

func (e *edit) add(path string, value any) {
	e.patch = append(e.patch, Operation{Op: "add", Path: path, Value: value})
}

// appendTo adds to a list, which is made when there is none.
func appendTo[T any](e *edit, path string, list *[]T, v T) {
	if len(*list) == 0 {
		e.add(path, []T{v})
	} else {
		e.add(path+"/-", v)
	}
	*list = append(*list, v)
}

// setIn sets a key of a map, which is made when there is none.
func setIn(e *edit, path string, m *map[string]string, key, value string) {
	switch {
	case len(*m) == 0:
		*m = map[string]string{key: value}
		e.add(path, map[string]string{key: value})
	case (*m)[key] != value:
		(*m)[key] = value
		e.add(path+"/"+escape(key), value)
	}
}

// escape writes a key for a JSON Pointer.
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

func (e *edit) label(key, value string) {
	setIn(e, "/metadata/labels", &e.pod.Labels, key, value)
}

func (e *edit) annotate(key, value string) {
	setIn(e, "/metadata/annotations", &e.pod.Annotations, key, value)
}

func (e *edit) addContainer(c corev1.Container) {
	appendTo(e, "/spec/containers", &e.pod.Spec.Containers, c)
}

func (e *edit) addInitContainer(c corev1.Container) {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	appendTo(e, "/spec/initContainers", &e.pod.Spec.InitContainers, c)
}

// addVolume does nothing when there is a volume of the name.
func (e *edit) addVolume(v corev1.Volume) {
	if !e.hasVolume(v.Name) {
		appendTo(e, "/spec/volumes", &e.pod.Spec.Volumes, v)
	}
}

func (e *edit) hasVolume(name string) bool {
	return slices.ContainsFunc(e.pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
}

// env does nothing when the container sets the variable itself.
func (e *edit) env(container int, name, value string) {
	c := &e.pod.Spec.Containers[container]
	if !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name }) {
		appendTo(e, fmt.Sprintf("/spec/containers/%d/env", container), &c.Env, corev1.EnvVar{Name: name, Value: value})
	}
}

// mount does nothing when the container mounts something there itself.
func (e *edit) mount(container int, m corev1.VolumeMount) {
	c := &e.pod.Spec.Containers[container]
	if !mountsAt(c, m.MountPath) {
		appendTo(e, fmt.Sprintf("/spec/containers/%d/volumeMounts", container), &c.VolumeMounts, m)
	}
}

func mountsAt(c *corev1.Container, path string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path })
}
