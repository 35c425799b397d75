package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Orphan deletes a StatefulSet and leaves its pods running, for the next one of
// the name to take them over. One that is not there is no error. The returned
// function then replaces the pods, one after the other, each when the one before
// is ready: the next one may be unable to change what it took over.
func (c *Client) Orphan(ctx context.Context, namespace, name string) (replace func(context.Context) error, err error) {
	sets := c.Clientset.AppsV1().StatefulSets(namespace)
	set, err := sets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return func(context.Context) error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the stateful set %s: %w", name, err)
	}
	orphans, err := c.podsOf(ctx, set)
	if err != nil {
		return nil, err
	}
	policy := metav1.DeletePropagationOrphan
	err = sets.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
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
		return nil, fmt.Errorf("take the pods from the stateful set %s: %w", name, err)
	}
	return func(ctx context.Context) error {
		now, err := sets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the stateful set %s: %w", name, err)
		}
		for i := range orphans {
			if err := c.replacePod(ctx, &orphans[i], i < int(replicas(now.Spec.Replicas))); err != nil {
				return fmt.Errorf("replace the pod %s: %w", orphans[i].Name, err)
			}
		}
		return nil
	}, nil
}

// podsOf lists the pods of a StatefulSet by their numbers.
func (c *Client) podsOf(ctx context.Context, set *appsv1.StatefulSet) ([]corev1.Pod, error) {
	pods, err := c.Clientset.CoreV1().Pods(set.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(set.Spec.Selector)})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	// A longer name has a greater number.
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return pods.Items, nil
}

// replacePod deletes a pod, unless somebody else has, and waits until another
// one of its name is ready where there is to be one.
func (c *Client) replacePod(ctx context.Context, old *corev1.Pod, again bool) error {
	pods := c.Clientset.CoreV1().Pods(old.Namespace)
	err := pods.Delete(ctx, old.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(old.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		now, err := pods.Get(ctx, old.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return !again, nil
		}
		if err != nil || now.UID == old.UID {
			return false, err
		}
		_, trouble := troubleOf(now)
		return !trouble, nil
	})
}

// DeleteLease deletes a lease of a leader election. One that is not there is no
// error.
func (c *Client) DeleteLease(ctx context.Context, namespace, name string) error {
	err := c.Clientset.CoordinationV1().Leases(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the lease %s: %w", name, err)
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
