package injector

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/resource"
)

const (
	configurationName = "dapr-sidecar-injector"
	webhookName       = "sidecar-injector.dapr.io"
	// systemConfiguration holds the settings of the control plane.
	systemConfiguration = "daprsystem"
	clusterTimeout      = 10 * time.Second
)

// cluster is the part of the Kubernetes API that the injector needs: a few
// requests without a cache, because a watch of a whole cluster would cost more
// memory than all the rest.
type cluster struct {
	client     *kubeapi.Client
	webhooks   kubeapi.Objects[metav1.PartialObjectMetadata]
	components kubeapi.Objects[component]
	namespace  string // the control plane's
}

// component is what matters here of one.
type component struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Scopes   []string          `json:"scopes"`
}

func newCluster(config *rest.Config, namespace string) (*cluster, error) {
	config.UserAgent = "dapr-injector"
	config.Timeout = clusterTimeout
	client, err := kubeapi.New(config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		client:     client,
		webhooks:   kubeapi.Of[metav1.PartialObjectMetadata](client, "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"),
		components: kubeapi.Of[component](client, resource.Group, "v1alpha1", "components"),
		namespace:  namespace,
	}, nil
}

// setCABundle makes the API server trust certificates that lead to these
// anchors. The generation it returns grows with every change of the webhook
// configuration, whoever makes it.
func (c *cluster) setCABundle(ctx context.Context, anchors []byte) (generation int64, err error) {
	patch, err := json.Marshal(map[string]any{"webhooks": []any{map[string]any{
		"name": webhookName, "clientConfig": map[string]any{"caBundle": anchors},
	}}})
	if err != nil {
		return 0, err
	}
	object, err := c.webhooks.Patch(ctx, "", configurationName, types.StrategicMergePatchType, patch)
	if err != nil {
		return 0, err
	}
	return object.Generation, nil
}

// mtls tells whether the sidecars are to prove who they are: yes, unless the
// control plane's Configuration says no.
func (c *cluster) mtls(ctx context.Context) (bool, error) {
	answer, err := c.client.Get(ctx, "/apis/"+resource.Group+"/v1alpha1/namespaces/"+c.namespace+"/configurations/"+systemConfiguration)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	var configuration struct {
		Spec struct {
			MTLS *struct {
				Enabled *bool `json:"enabled"`
			} `json:"mtls"`
		} `json:"spec"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &configuration)
	}
	if m := configuration.Spec.MTLS; err == nil && m != nil && m.Enabled != nil {
		return *m.Enabled, nil
	}
	return true, err
}

// nativeSidecars tells whether the cluster keeps init containers running: since
// Kubernetes 1.29.
func (c *cluster) nativeSidecars(ctx context.Context) (bool, error) {
	answer, err := c.client.Get(ctx, "/version")
	if err != nil {
		return false, err
	}
	var v apiversion.Info
	if err := json.Unmarshal(answer, &v); err != nil {
		return false, err
	}
	major, err := strconv.Atoi(v.Major)
	if err != nil {
		return false, fmt.Errorf("the cluster's major version is %q", v.Major)
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+")) // clouds write 29+
	if err != nil {
		return false, fmt.Errorf("the cluster's minor version is %q", v.Minor)
	}
	return major > 1 || minor >= 29, nil
}

// containers lists the components of a namespace that bring a container.
func (c *cluster) containers(ctx context.Context, namespace string) ([]inject.Component, error) {
	list, err := c.components.List(ctx, namespace, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the components of namespace %q cannot be listed, and annotation %sinject-pluggable-components needs them: %w", namespace, inject.Prefix, err)
	}
	var out []inject.Component
	for i := range list.Items {
		item := &list.Items[i]
		if container := item.Metadata.Annotations[inject.Prefix+"component-container"]; container != "" {
			out = append(out, inject.Component{Name: item.Metadata.Name, Scopes: item.Scopes, Container: container})
		}
	}
	return out, nil
}
