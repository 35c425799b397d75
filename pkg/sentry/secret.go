package sentry

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
)

// bundleName is that of the Secret with the material and of the ConfigMap with
// what everybody may know of it.
const bundleName = "dapr-trust-bundle"

// secretTries bound how often two replicas may get in each other's way.
const secretTries = 10

// secretStore keeps the material in a Secret. The Secret decides; the ConfigMap
// follows it.
type secretStore struct {
	secrets    kubeapi.Objects[corev1.Secret]
	configMaps kubeapi.Objects[corev1.ConfigMap]
	namespace  string
	names      names
}

func (s secretStore) load(ctx context.Context, complete func(material) (material, bool, error)) (m material, err error) {
	for range secretTries {
		m, err = s.try(ctx, complete)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return m, err
		}
	}
	return m, err
}

// try fails with a conflict or "already exists" when another replica was faster
// at some step. The ConfigMap is read first: a Secret that changes afterwards
// changes the ConfigMap too, which then cannot be set back by accident.
func (s secretStore) try(ctx context.Context, complete func(material) (material, bool, error)) (material, error) {
	public, err := s.configMaps.Get(ctx, s.namespace, bundleName)
	noPublic := apierrors.IsNotFound(err)
	if err != nil && !noPublic {
		return material{}, denied("read ConfigMap", err)
	}
	secret, err := s.secrets.Get(ctx, s.namespace, bundleName)
	noSecret := apierrors.IsNotFound(err)
	if err != nil && !noSecret {
		return material{}, denied("read Secret", err)
	}
	if noSecret {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: bundleName}}
	}
	m, changed, err := complete(s.fromSecret(secret))
	if err != nil {
		return material{}, fmt.Errorf("Secret %s: %w", bundleName, err)
	}
	if changed {
		s.toSecret(m, secret)
		if noSecret {
			_, err = s.secrets.Create(ctx, s.namespace, secret)
		} else {
			_, err = s.secrets.Update(ctx, s.namespace, bundleName, secret) // fails when somebody was faster
		}
		if err != nil {
			return material{}, denied("write Secret", err)
		}
	}
	return m, s.publish(ctx, m, public, noPublic)
}

// publish makes the ConfigMap say what the material does.
func (s secretStore) publish(ctx context.Context, m material, have *corev1.ConfigMap, create bool) error {
	want := map[string]string{s.names.anchors: string(m.Anchors)}
	if len(m.JWKS) > 0 {
		want[s.names.jwks] = string(m.JWKS)
	}
	if create {
		_, err := s.configMaps.Create(ctx, s.namespace, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: bundleName}, Data: want})
		return denied("create ConfigMap", err)
	}
	merged := maps.Clone(have.Data)
	if merged == nil {
		merged = make(map[string]string)
	}
	maps.Copy(merged, want)
	if maps.Equal(merged, have.Data) {
		return nil
	}
	have.Data = merged
	_, err := s.configMaps.Update(ctx, s.namespace, bundleName, have)
	return denied("write ConfigMap", err)
}

func (s secretStore) fromSecret(secret *corev1.Secret) (m material) {
	m.Anchors, m.Issuer, m.Key = secret.Data[s.names.anchors], secret.Data[s.names.issuer], secret.Data[s.names.key]
	m.JWTKey, m.JWKS = secret.Data[s.names.jwtKey], secret.Data[s.names.jwks]
	return m
}

func (s secretStore) toSecret(m material, secret *corev1.Secret) {
	if secret.Data == nil {
		secret.Data = make(map[string][]byte)
	}
	secret.Data[s.names.anchors], secret.Data[s.names.issuer], secret.Data[s.names.key] = m.Anchors, m.Issuer, m.Key
	if len(m.JWTKey) > 0 {
		secret.Data[s.names.jwtKey], secret.Data[s.names.jwks] = m.JWTKey, m.JWKS
	}
}

// denied says what was being done. Rights that are missing are the most likely
// mistake: somebody has changed the chart's roles.
func denied(operation string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s %s: %w", operation, bundleName, err)
	if apierrors.IsForbidden(err) {
		return errors.Join(wrapped, errors.New("the service account of dapr-sentry needs this right; the chart's role for it gives it"))
	}
	return wrapped
}
