package inject

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	componentsVolume = "dapr-components-unix-domain-socket"
	// Where components find their folder: the documented name, and the one that
	// their libraries read.
	socketsVariable    = "DAPR_COMPONENTS_SOCKETS_FOLDER"
	socketsVariableSDK = "DAPR_COMPONENT_SOCKETS_FOLDER"
)

// Component is what the injection needs of a Component of the pod's namespace.
type Component struct {
	Name string
	// Scopes are the apps that use it; none: all.
	Scopes []string
	// Container is the annotation component-container: a container as JSON.
	Container string
}

// hasComponents tells whether components are served over sockets in this pod.
func (in *injection) hasComponents() bool {
	return len(in.PluggableComponents) > 0 || in.InjectPluggableComponents
}

// isComponent tells whether a container serves components and is no app.
func (in *injection) isComponent(container string) bool {
	return slices.Contains(in.PluggableComponents, container)
}

// addComponents joins the sidecar with containers that serve components: those
// of the pod that are named, and those that the app's Components bring along.
func (in *injection) addComponents(sidecar *corev1.Container) {
	if !in.hasComponents() {
		return
	}
	in.addVolume(corev1.Volume{Name: componentsVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	mount := corev1.VolumeMount{Name: componentsVolume, MountPath: in.ComponentsSocketsFolder}
	if mountsAt(sidecar, mount.MountPath) {
		in.warn("annotation %spluggable-components-sockets-folder %q: the sidecar has another volume there; give another path", Prefix, mount.MountPath)
	} else {
		sidecar.VolumeMounts = append(sidecar.VolumeMounts, mount)
	}
	if in.InjectPluggableComponents {
		in.addComponentContainers()
	}
	for _, name := range in.PluggableComponents {
		i := slices.IndexFunc(in.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
		if i < 0 {
			in.warn("annotation %spluggable-components: the pod has no container %q", Prefix, name)
			continue
		}
		in.env(i, socketsVariable, mount.MountPath)
		in.env(i, socketsVariableSDK, mount.MountPath)
		in.mount(i, mount)
	}
}

// addComponentContainers adds a container for each Component that brings one.
// Components with the same image share it: one program serves them all.
func (in *injection) addComponentContainers() {
	var images []string
	for _, component := range in.settings.Components {
		if component.Container == "" || (len(component.Scopes) > 0 && !slices.Contains(component.Scopes, in.AppID)) {
			continue
		}
		c, wrong := component.container()
		switch {
		case wrong != "":
			in.warn("component %q: annotation %scomponent-container %s", component.Name, Prefix, wrong)
			continue
		case slices.Contains(images, c.Image) || in.hasContainer(c.Name):
			continue
		}
		images = append(images, c.Image)
		for _, m := range c.VolumeMounts {
			// A Component cannot know the pod's volumes: one that is missing is its
			// own room.
			in.addVolume(corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}
		in.addContainer(c)
		in.PluggableComponents = append(in.PluggableComponents, c.Name)
	}
}

// container reads the container of a Component, or says what is wrong with it.
func (c *Component) container() (out corev1.Container, wrong string) {
	if err := json.Unmarshal([]byte(c.Container), &out); err != nil {
		return out, fmt.Sprintf("is no container: %v", err)
	}
	out.Name = cmp.Or(out.Name, c.Name)
	out.RestartPolicy = nil // only init containers have one
	switch {
	case out.Image == "":
		return out, "names no image"
	case !isLabel(out.Name) || out.Name == ContainerName:
		return out, fmt.Sprintf("names the container %q: give it a \"name\" of lower-case letters, digits and dashes", out.Name)
	case slices.ContainsFunc(out.VolumeMounts, func(m corev1.VolumeMount) bool { return !isLabel(m.Name) }):
		return out, "mounts a volume whose name is not of lower-case letters, digits and dashes"
	}
	return out, ""
}

func isLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }

func (in *injection) hasContainer(name string) bool {
	has := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(in.pod.Spec.Containers, has) || slices.ContainsFunc(in.pod.Spec.InitContainers, has)
}
