package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KeepTrust remembers the certificate authority of the control plane in a
// namespace. The returned function puts it back when it has been changed since:
// a rollback restores what stood in an earlier manifest, and a certificate
// authority that was renewed must not become the old one again.
func (c *Client) KeepTrust(ctx context.Context, namespace string) (restore func(context.Context) error, err error) {
	secrets, configMaps := c.Clientset.CoreV1().Secrets(namespace), c.Clientset.CoreV1().ConfigMaps(namespace)
	secret, err := secrets.Get(ctx, trustBundle, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the Secret %s: %w", trustBundle, err)
	}
	public, err := configMaps.Get(ctx, trustBundle, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the ConfigMap %s: %w", trustBundle, err)
	}
	return func(ctx context.Context) error {
		now, err := secrets.Get(ctx, trustBundle, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the Secret %s: %w", trustBundle, err)
		}
		if maps.EqualFunc(now.Data, secret.Data, bytes.Equal) {
			return nil
		}
		now.Data = secret.Data
		if _, err := secrets.Update(ctx, now, metav1.UpdateOptions{FieldManager: FieldManager}); err != nil {
			return fmt.Errorf("put the certificate authority back: %w", err)
		}
		then, err := configMaps.Get(ctx, trustBundle, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the ConfigMap %s: %w", trustBundle, err)
		}
		then.Data = public.Data
		if _, err := configMaps.Update(ctx, then, metav1.UpdateOptions{FieldManager: FieldManager}); err != nil {
			return fmt.Errorf("put the certificate authority back: %w", err)
		}
		return nil
	}, nil
}
