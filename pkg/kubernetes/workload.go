package kubernetes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Orphan deletes a StatefulSet and leaves its pods running, for the next one of
// the name to take them over. One that is not there is no error.
func (c *Client) Orphan(ctx context.Context, namespace, name string) error {
	sets := c.Clientset.AppsV1().StatefulSets(namespace)
	policy := metav1.DeletePropagationOrphan
	err := sets.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if err == nil {
		err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			_, err := sets.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take the pods from the stateful set %s: %w", name, err)
	}
	return nil
}

// SidecarImages counts the pods of all namespaces by the image of their sidecar.
func (c *Client) SidecarImages(ctx context.Context) (map[string]int, error) {
	pods, err := c.Clientset.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "dapr.io/sidecar-injected=true"})
	if err != nil {
		return nil, fmt.Errorf("list pods with a sidecar: %w", err)
	}
	images := make(map[string]int)
	for i := range pods.Items {
		spec := &pods.Items[i].Spec
		for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for _, container := range containers {
				if container.Name == sidecarName {
					images[container.Image]++
				}
			}
		}
	}
	return images, nil
}
