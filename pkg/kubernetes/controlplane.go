package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	build "github.com/hyperdapr/dapr/pkg/version"
)

// services are the values of the label "app" of the control plane's pods.
// Releases of older times named the placement service by its bare name.
var services = []string{
	"dapr-operator", "dapr-sentry", "dapr-placement", "dapr-placement-server", "dapr-sidecar-injector", "dapr-scheduler-server",
}

// Service is one service of the control plane in one namespace.
type Service struct {
	Name, Namespace string
	// Healthy tells that all containers of all its pods are ready.
	Healthy bool
	// Status is "Running", or that of the pod that is worst off.
	Status string
	// Replicas counts its pods.
	Replicas int
	// Version is the tag of its image.
	Version string
	// Created is when the oldest of its pods was.
	Created time.Time
	// Troubles are of the pods that are not ready.
	Troubles []Trouble
}

// ControlPlane lists the services of the control plane in all namespaces,
// sorted by namespace and name.
func (c *Client) ControlPlane(ctx context.Context) ([]Service, error) {
	var pods *corev1.PodList
	err := c.ask(ctx, "list pods of all namespaces", func(ctx context.Context) (err error) {
		pods, err = c.Clientset.CoreV1().Pods("").List(ctx, metav1.ListOptions{
			LabelSelector: "app in (" + strings.Join(services, ",") + ")",
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []Service
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil {
			continue // another has taken its place
		}
		at := slices.IndexFunc(all, func(s Service) bool { return s.Name == pod.Labels["app"] && s.Namespace == pod.Namespace })
		if at < 0 {
			at = len(all)
			all = append(all, Service{
				Name: pod.Labels["app"], Namespace: pod.Namespace, Healthy: true, Version: imageTag(pod), Created: pod.CreationTimestamp.Time,
			})
		}
		all[at].add(pod)
	}
	slices.SortFunc(all, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func (s *Service) add(pod *corev1.Pod) {
	s.Replicas++
	if pod.CreationTimestamp.Time.Before(s.Created) {
		s.Created = pod.CreationTimestamp.Time
	}
	healthy, status := podStatus(pod)
	if s.Status == "" || !healthy {
		s.Status = status
	}
	s.Healthy = s.Healthy && healthy
	if t, ok := troubleOf(pod); ok {
		s.Troubles = append(s.Troubles, t)
	}
}

// podStatus is the state of the pod's container that is worst off.
func podStatus(pod *corev1.Pod) (healthy bool, status string) {
	if len(pod.Status.ContainerStatuses) == 0 {
		return false, string(pod.Status.Phase)
	}
	healthy, status = true, "Running"
	for _, s := range pod.Status.ContainerStatuses {
		healthy = healthy && s.Ready
		switch {
		case s.State.Waiting != nil:
			return false, "Waiting (" + s.State.Waiting.Reason + ")"
		case s.State.Terminated != nil:
			status = "Terminated"
		}
	}
	return healthy, status
}

// SidecarVersion is the tag of the image of the pod's sidecar, if it has one.
func SidecarVersion(pod *corev1.Pod) (version string, has bool) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == sidecarName {
				return tagOf(containers[i].Image), true
			}
		}
	}
	return "", false
}

// imageTag is the tag of the image of the pod's first container.
func imageTag(pod *corev1.Pod) string {
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return tagOf(pod.Spec.Containers[0].Image)
}

// tagOf is what follows an image's name.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndex(image, "/")+1:] // a registry's port has a colon too
	_, tag, _ := strings.Cut(name, ":")
	return tag
}

// Versions are those of the services, sorted; there is more than one while an
// upgrade is under way, or where it was broken off.
func Versions(services []Service) []string {
	var all []string
	for _, s := range services {
		all = append(all, s.Version)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// SkewWarning says so when the control plane's version is further from that of
// this program than is supported, and what to do about it; else it is empty.
func SkewWarning(services []Service, own string) string {
	for _, theirs := range Versions(services) {
		if theirs == "" || build.Compatible(own, theirs) {
			continue // an image that is named by its digest has no version
		}
		text := fmt.Sprintf("The control plane has version %s, this program %s", theirs, own)
		switch {
		case build.Newer(theirs, own):
			return fmt.Sprintf("%s: they may be one minor version apart. Use the dapr of version %s", text, theirs)
		case build.Newer(own, theirs):
			return fmt.Sprintf("%s: they may be one minor version apart. Run \"dapr upgrade -k\", or use the dapr of version %s", text, theirs)
		default:
			return fmt.Sprintf("%s, and one of them is no release: nobody knows whether they work together. Use the dapr of version %s, or run \"dapr upgrade -k\"", text, theirs)
		}
	}
	return ""
}
