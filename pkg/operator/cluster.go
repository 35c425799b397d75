package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// resync is how often everything is looked at again, changed or not: what
// somebody else has changed behind a service's back is mended then.
const resync = 10 * time.Minute

// configurationWait is how much later than the operator its Configuration may
// come.
const configurationWait = 30 * time.Second

// cluster is what the operator needs of Kubernetes.
type cluster struct {
	client    *kubeapi.Client
	namespace string // with apps; empty: all

	pods        kubeapi.Objects[corev1.Pod]
	secrets     kubeapi.Objects[corev1.Secret]
	services    kubeapi.Objects[corev1.Service]
	leases      kubeapi.Objects[coordinationv1.Lease]
	definitions kubeapi.Objects[metav1.PartialObjectMetadata]
}

func connect(config *rest.Config, namespace string) (*cluster, error) {
	config.UserAgent = "dapr-operator"
	// A sidecar that starts may cost some requests for secrets, and a cluster that
	// restarts has all sidecars start at once.
	config.QPS, config.Burst = 100, 200
	c, err := kubeapi.New(config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		client: c, namespace: namespace,
		pods:        kubeapi.Of[corev1.Pod](c, "", "v1", "pods"),
		secrets:     kubeapi.Of[corev1.Secret](c, "", "v1", "secrets"),
		services:    kubeapi.Of[corev1.Service](c, "", "v1", "services"),
		leases:      kubeapi.Of[coordinationv1.Lease](c, "coordination.k8s.io", "v1", "leases"),
		definitions: kubeapi.Of[metav1.PartialObjectMetadata](c, "apiextensions.k8s.io", "v1", "customresourcedefinitions"),
	}, nil
}

// resources are those of the group dapr.io by their plural name.
func (c *cluster) resources(plural string) kubeapi.Objects[unstructured.Unstructured] {
	return kubeapi.Of[unstructured.Unstructured](c.client, resource.Group, versions[plural], plural)
}

// configuration reads one Configuration, and waits for it: whoever installs the
// control plane with Helm gets what is of our own kinds last.
func (c *cluster) configuration(ctx context.Context, namespace, name string) (*resource.Configuration, error) {
	var (
		data *json.RawMessage
		err  error
	)
	all := kubeapi.Of[json.RawMessage](c.client, resource.Group, versions[configurations], configurations)
	_ = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, configurationWait, true, func(ctx context.Context) (bool, error) {
		data, err = all.Get(ctx, namespace, name)
		return !apierrors.IsNotFound(err), nil
	}) // err says more than that the time is over
	if err != nil {
		return nil, fmt.Errorf("read Configuration %s/%s: %w", namespace, name, err)
	}
	return resource.ParseConfiguration(namespace+"/"+name, *data)
}
