package kubernetes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// EnsureNamespace creates a namespace unless it is there, and tells whether it
// did. One that is on its way out is waited for first.
func (c *Client) EnsureNamespace(ctx context.Context, name string) (created bool, err error) {
	namespaces := c.Clientset.CoreV1().Namespaces()
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		found, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return found.DeletionTimestamp == nil, nil
		}
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return false, err
		}
		_, err = namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{ownLabel: FieldManager},
		}}, metav1.CreateOptions{FieldManager: FieldManager})
		if apierrors.IsForbidden(err) {
			return true, nil // somebody made it for this user, or what comes next fails
		}
		created = err == nil
		return created, ignoreExists(err)
	})
	if err != nil {
		return false, fmt.Errorf("create the namespace %s: %w", name, err)
	}
	return created, nil
}

// DeleteOwnNamespace deletes a namespace that EnsureNamespace created, unless
// pods are in it, and tells whether it did.
func (c *Client) DeleteOwnNamespace(ctx context.Context, name string) (bool, error) {
	found, err := c.Clientset.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && found.Labels[ownLabel] != FieldManager {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the namespace %s: %w", name, err)
	}
	pods, err := c.Clientset.CoreV1().Pods(name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			return false, nil
		}
	}
	return true, c.DeleteNamespace(ctx, name)
}

// ignoreExists lets the next look find what somebody else just created.
func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// DeleteNamespace deletes a namespace with all that is in it, and waits until
// it is gone. One that is not there is no error.
func (c *Client) DeleteNamespace(ctx context.Context, name string) error {
	namespaces := c.Clientset.CoreV1().Namespaces()
	err := namespaces.Delete(ctx, name, metav1.DeleteOptions{})
	if err == nil {
		err = waitGone(ctx, func(ctx context.Context) error {
			_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
			return err
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the namespace %s: %w", name, err)
	}
	return nil
}
