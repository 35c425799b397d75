package kubernetes

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hyperdapr/dapr/pkg/security/authority"
)

const (
	// SystemConfiguration is the name of the control plane's own Configuration.
	SystemConfiguration = "daprsystem"
	// trustBundle is the name of the Secret with the certificate authority, and of
	// the ConfigMap with what everybody may know of it.
	trustBundle = "dapr-trust-bundle"
)

// MTLS is what the control plane's Configuration says about identities.
type MTLS struct {
	// Namespace is the control plane's.
	Namespace   string
	Enabled     bool
	TrustDomain string
	ClockSkew   time.Duration
}

// MTLS reads the control plane's Configuration.
func (c *Client) MTLS(ctx context.Context) (MTLS, error) {
	all, err := c.Resources(ctx, Configurations, "")
	if err != nil {
		return MTLS{}, err
	}
	at := slices.IndexFunc(all, func(r Resource) bool { return r.Name == SystemConfiguration })
	if at < 0 {
		return MTLS{}, fmt.Errorf("%s has no Configuration %q; is the control plane installed there? \"dapr status -k\" tells", c, SystemConfiguration)
	}
	m := MTLS{Namespace: all[at].Namespace, Enabled: true}
	if enabled, found, _ := unstructured.NestedBool(all[at].Spec, "mtls", "enabled"); found {
		m.Enabled = enabled
	}
	m.TrustDomain, _, _ = unstructured.NestedString(all[at].Spec, "mtls", "controlPlaneTrustDomain")
	if m.TrustDomain == "" {
		m.TrustDomain = "cluster.local"
	}
	skew, _, _ := unstructured.NestedString(all[at].Spec, "mtls", "allowedClockSkew")
	if m.ClockSkew, err = time.ParseDuration(skew); skew != "" && err != nil {
		return MTLS{}, fmt.Errorf("the Configuration %s: spec.mtls.allowedClockSkew: %w", SystemConfiguration, err)
	}
	return m, nil
}

// TrustBundle is the certificate authority as the cluster keeps it.
type TrustBundle struct {
	authority.Bundle
	secret *corev1.Secret
}

// TrustBundle reads the certificate authority of the control plane in a
// namespace.
func (c *Client) TrustBundle(ctx context.Context, namespace string) (*TrustBundle, error) {
	var secret *corev1.Secret
	err := c.ask(ctx, "read the Secret "+trustBundle, func(ctx context.Context) (err error) {
		secret, err = c.Clientset.CoreV1().Secrets(namespace).Get(ctx, trustBundle, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	bundle := &TrustBundle{secret: secret, Bundle: authority.Bundle{
		Anchors: secret.Data[authority.AnchorsKey], Issuer: secret.Data[authority.IssuerKey], Key: secret.Data[authority.SecretKey],
	}}
	if part := bundle.Missing(); part != "" {
		return nil, fmt.Errorf("the Secret %s in the namespace %s has no %s yet: dapr-sentry writes it when it starts; \"dapr status -k\" tells how it is", trustBundle, namespace, part)
	}
	return bundle, nil
}

// PublishedAnchors are the roots that everybody in the cluster is told, in PEM.
func (c *Client) PublishedAnchors(ctx context.Context, namespace string) ([]byte, error) {
	var public *corev1.ConfigMap
	err := c.ask(ctx, "read the ConfigMap "+trustBundle, func(ctx context.Context) (err error) {
		public, err = c.Clientset.CoreV1().ConfigMaps(namespace).Get(ctx, trustBundle, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return []byte(public.Data[authority.AnchorsKey]), nil
}

// RootExpiry is when the newest of the roots expires.
func (b *TrustBundle) RootExpiry() (time.Time, error) {
	block, _ := pem.Decode(b.Anchors)
	if block == nil {
		return time.Time{}, fmt.Errorf("the Secret %s: %s is not in PEM", trustBundle, authority.AnchorsKey)
	}
	// The one in use stands first: a rotation puts it before the older ones.
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("the Secret %s: %s: %w", trustBundle, authority.AnchorsKey, err)
	}
	return root.NotAfter, nil
}

// ReplaceTrust gives the control plane other material, and waits until
// dapr-sentry has taken it over and published its roots. It fails when somebody
// else has replaced the material since it was read.
func (c *Client) ReplaceTrust(ctx context.Context, old *TrustBundle, next authority.Bundle) error {
	secret := old.secret.DeepCopy()
	secret.Data[authority.AnchorsKey], secret.Data[authority.IssuerKey], secret.Data[authority.SecretKey] = next.Anchors, next.Issuer, next.Key
	err := c.ask(ctx, "write the Secret "+trustBundle, func(ctx context.Context) error {
		_, err := c.Clientset.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{FieldManager: FieldManager})
		return err
	})
	if apierrors.IsConflict(err) {
		return errors.New("somebody else has just changed the certificate authority; look at it, and try again")
	}
	if err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		public, err := c.Clientset.CoreV1().ConfigMaps(secret.Namespace).Get(ctx, trustBundle, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return bytes.Equal([]byte(public.Data[authority.AnchorsKey]), next.Anchors), nil
	})
	if err != nil {
		return fmt.Errorf("wait for dapr-sentry to take over the new certificates: %w; \"dapr status -k\" tells how it is", err)
	}
	return nil
}

// restarted are the services with an identity of their own.
var restarted = []struct{ kind, name string }{
	{"Deployment", "dapr-sentry"},
	{"Deployment", "dapr-sidecar-injector"},
	{"Deployment", "dapr-operator"},
	{"StatefulSet", "dapr-placement-server"},
}

// Restart replaces the pods of the control plane, one service after the other.
// A service that is not installed is left out.
func (c *Client) Restart(ctx context.Context, namespace string, now time.Time, watch Watcher) error {
	annotation := map[string]string{"kubectl.kubernetes.io/restartedAt": now.UTC().Format(time.RFC3339)}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotation}}}})
	if err != nil {
		return err
	}
	for _, service := range restarted {
		options := metav1.PatchOptions{FieldManager: FieldManager}
		var err error
		if service.kind == "StatefulSet" {
			_, err = c.Clientset.AppsV1().StatefulSets(namespace).Patch(ctx, service.name, types.StrategicMergePatchType, patch, options)
		} else {
			_, err = c.Clientset.AppsV1().Deployments(namespace).Patch(ctx, service.name, types.StrategicMergePatchType, patch, options)
		}
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("restart %s: %w", service.name, err)
		}
		if err := c.WaitReady(ctx, namespace, "app.kubernetes.io/name="+service.name, watch); err != nil {
			return err
		}
	}
	return nil
}

// ExpiryWarning says so when the root expires within a month, and how to renew
// it. It is empty when there is nothing to say, or no way to know.
func (c *Client) ExpiryWarning(ctx context.Context, now time.Time) string {
	const early = 30 * 24 * time.Hour
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	m, err := c.MTLS(ctx)
	if err != nil || !m.Enabled {
		return ""
	}
	bundle, err := c.TrustBundle(ctx, m.Namespace)
	if err != nil {
		return ""
	}
	expires, err := bundle.RootExpiry()
	if err != nil || expires.Sub(now) >= early {
		return ""
	}
	at := expires.UTC().Format(time.RFC3339)
	if expires.Before(now) {
		return fmt.Sprintf("The root certificate of the cluster expired at %s: no sidecar gets an identity. Renew it with \"dapr mtls renew-certificate -k --restart\", and restart the apps", at)
	}
	return fmt.Sprintf("The root certificate of the cluster expires in %d days, at %s. Renew it with \"dapr mtls renew-certificate -k\"", int(expires.Sub(now).Hours()/24), at)
}
