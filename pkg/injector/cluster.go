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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/inject"
)

const (
	configurationName = "dapr-sidecar-injector"
	webhookName       = "sidecar-injector.dapr.io"
	// systemConfiguration holds the settings of the control plane.
	systemConfiguration = "daprsystem"
	clusterTimeout      = 10 * time.Second
)

// cluster is the part of the Kubernetes API that the injector needs: five
// requests without a cache, because a watch of a whole cluster would cost more
// memory than all the rest.
type cluster struct {
	client    rest.Interface
	namespace string // the control plane's
}

func newCluster(config *rest.Config, namespace string) (*cluster, error) {
	scheme := runtime.NewScheme() // knows what errors look like, and no more
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.GroupVersion = &schema.GroupVersion{}
	config.Timeout = clusterTimeout
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for the cluster: %w", err)
	}
	return &cluster{client, namespace}, nil
}

// body returns what the API server answers, or the error it tells of; Raw alone
// would call that one unknown.
func body(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
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
	answer, err := body(c.client.Patch(types.StrategicMergePatchType).
		AbsPath("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + configurationName).
		Body(patch).Do(ctx))
	if err != nil {
		return 0, err
	}
	var object metav1.PartialObjectMetadata
	err = json.Unmarshal(answer, &object)
	return object.Generation, err
}

// mtls tells whether the sidecars are to prove who they are: yes, unless the
// control plane's Configuration says no.
func (c *cluster) mtls(ctx context.Context) (bool, error) {
	answer, err := body(c.client.Get().
		AbsPath("/apis/dapr.io/v1alpha1/namespaces/" + c.namespace + "/configurations/" + systemConfiguration).Do(ctx))
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
	answer, err := body(c.client.Get().AbsPath("/version").Do(ctx))
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

// components lists those of a namespace that bring a container.
func (c *cluster) components(ctx context.Context, namespace string) ([]inject.Component, error) {
	answer, err := body(c.client.Get().AbsPath("/apis/dapr.io/v1alpha1/namespaces/" + namespace + "/components").Do(ctx))
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Scopes   []string          `json:"scopes"`
		} `json:"items"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("the components of namespace %q cannot be listed, and annotation %sinject-pluggable-components needs them: %w", namespace, inject.Prefix, err)
	}
	var out []inject.Component
	for _, i := range list.Items {
		if container := i.Metadata.Annotations[inject.Prefix+"component-container"]; container != "" {
			out = append(out, inject.Component{Name: i.Metadata.Name, Scopes: i.Scopes, Container: container})
		}
	}
	return out, nil
}
