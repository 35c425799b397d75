package sentry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	authv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hyperdapr/dapr/pkg/resource"
)

// cluster is what the service needs of Kubernetes. Nothing is watched or kept:
// what is read is one object at a time, and seldom.
type cluster struct {
	core           corev1client.CoreV1Interface
	authentication authv1client.AuthenticationV1Interface
	dynamic        dynamic.Interface
}

// connect returns the cluster that the process runs in; when a kubeconfig is
// given or the process runs in none, that of the kubeconfig.
func connect(kubeconfig string, given bool) (*cluster, error) {
	config, err := rest.InClusterConfig()
	if given || errors.Is(err, rest.ErrNotInCluster) {
		if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return nil, fmt.Errorf("no cluster: the process does not run in one, and the kubeconfig %q cannot be used: %w; name another with --kubeconfig", kubeconfig, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	config.UserAgent = "dapr-sentry"
	// Every new pod costs three requests, and a cluster that restarts has them all
	// at once.
	config.QPS, config.Burst = 100, 200
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	if c.core, err = corev1client.NewForConfigAndClient(typed, client); err != nil {
		return nil, err
	}
	if c.authentication, err = authv1client.NewForConfigAndClient(typed, client); err != nil {
		return nil, err
	}
	c.dynamic, err = dynamic.NewForConfigAndClient(config, client)
	return c, err
}

var configurations = schema.GroupVersionResource{Group: resource.Group, Version: "v1alpha1", Resource: "configurations"}

// configuration reads one Configuration.
func (c *cluster) configuration(ctx context.Context, namespace, name string) (*resource.Configuration, error) {
	object, err := c.dynamic.Resource(configurations).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return resource.ParseConfiguration(namespace+"/"+name, data)
}

// trustDomain reads the one field of an app's Configuration that counts here:
// mistakes elsewhere in it are the app's affair.
func (c *cluster) trustDomain(ctx context.Context, namespace, name string) (string, error) {
	object, err := c.dynamic.Resource(configurations).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	td, _, err := unstructured.NestedString(object.Object, "spec", "accessControl", "trustDomain")
	return td, err
}
