package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

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
	core         corev1.CoreV1Interface
	coordination coordinationv1.CoordinationV1Interface
	dynamic      dynamic.Interface
	informers    dynamicinformer.DynamicSharedInformerFactory
}

func connect(config *rest.Config, namespace string) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "dapr-operator"
	config.QPS, config.Burst = 50, 100
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	if c.core, err = corev1.NewForConfigAndClient(typed, client); err != nil {
		return nil, err
	}
	if c.coordination, err = coordinationv1.NewForConfigAndClient(typed, client); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, err
	}
	c.informers = dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.dynamic, resync, namespace, nil)
	return c, nil
}

// gvr is a kind of the group dapr.io by its plural name.
func gvr(plural, version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: resource.Group, Version: version, Resource: plural}
}

// configuration reads one Configuration, and waits for it: whoever installs the
// control plane with Helm gets what is of our own kinds last.
func (c *cluster) configuration(ctx context.Context, namespace, name string) (*resource.Configuration, error) {
	var (
		object *unstructured.Unstructured
		err    error
	)
	_ = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, configurationWait, true, func(ctx context.Context) (bool, error) {
		object, err = c.dynamic.Resource(gvr("configurations", "v1alpha1")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		return !apierrors.IsNotFound(err), nil
	}) // err says more than that the time is over
	if err != nil {
		return nil, fmt.Errorf("read Configuration %s/%s: %w", namespace, name, err)
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("read Configuration %s/%s: %w", namespace, name, err)
	}
	return resource.ParseConfiguration(namespace+"/"+name, data)
}

// dropManagedFields keeps a cache from holding the history of every field.
func dropManagedFields(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}
