package sentry

import (
	"context"
	"encoding/json"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// cluster is what the service needs of Kubernetes. Nothing is watched or kept:
// what is read is one object at a time, and seldom.
type cluster struct {
	secrets        kubeapi.Objects[corev1.Secret]
	configMaps     kubeapi.Objects[corev1.ConfigMap]
	pods           kubeapi.Objects[corev1.Pod]
	tokenReviews   kubeapi.Objects[authv1.TokenReview]
	configurations kubeapi.Objects[json.RawMessage]
}

// connect returns the cluster that the process runs in; when a kubeconfig is
// given or the process runs in none, that of the kubeconfig.
func connect(kubeconfig string, given bool) (*cluster, error) {
	named, fallback := "", kubeconfig
	if given {
		named = kubeconfig
	}
	config, err := kubeapi.Config(named, fallback)
	if err != nil {
		return nil, err
	}
	return newCluster(config)
}

func newCluster(config *rest.Config) (*cluster, error) {
	config.UserAgent = "dapr-sentry"
	// Every new pod costs three requests, and a cluster that restarts has them all
	// at once.
	config.QPS, config.Burst = 100, 200
	c, err := kubeapi.New(config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		secrets:        kubeapi.Of[corev1.Secret](c, "", "v1", "secrets"),
		configMaps:     kubeapi.Of[corev1.ConfigMap](c, "", "v1", "configmaps"),
		pods:           kubeapi.Of[corev1.Pod](c, "", "v1", "pods"),
		tokenReviews:   kubeapi.Of[authv1.TokenReview](c, "authentication.k8s.io", "v1", "tokenreviews"),
		configurations: kubeapi.Of[json.RawMessage](c, resource.Group, "v1alpha1", "configurations"),
	}, nil
}

// configuration reads one Configuration.
func (c *cluster) configuration(ctx context.Context, namespace, name string) (*resource.Configuration, error) {
	data, err := c.configurations.Get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return resource.ParseConfiguration(namespace+"/"+name, *data)
}

// trustDomain reads the one field of an app's Configuration that counts here:
// mistakes elsewhere in it are the app's affair.
func (c *cluster) trustDomain(ctx context.Context, namespace, name string) (string, error) {
	data, err := c.configurations.Get(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	var configuration struct {
		Spec struct {
			AccessControl struct {
				TrustDomain string `json:"trustDomain"`
			} `json:"accessControl"`
		} `json:"spec"`
	}
	err = json.Unmarshal(*data, &configuration)
	return configuration.Spec.AccessControl.TrustDomain, err
}
