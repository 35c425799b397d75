// Package kubeapi is how a service that runs in a cluster speaks to its API
// server: it finds the server, and reads and writes objects of single kinds as
// JSON. client-go's typed clients and informer factories would link every kind
// that Kubernetes has into every service, and hold megabytes of them in memory
// from the first instruction on.
package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is the way to the cluster: the kubeconfig file that --kubeconfig names
// or, when it names none, the pod's own. Outside of a pod it is the fallback, a
// kubeconfig file too, unless that is empty.
func Config(kubeconfig, fallback string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		switch {
		case err == nil:
			return config, nil
		case fallback == "" || !errors.Is(err, rest.ErrNotInCluster):
			return nil, fmt.Errorf("--kubeconfig is missing, and this is no pod: %w", err)
		}
		kubeconfig = fallback
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %q cannot be used, name another file: %w", kubeconfig, err)
	}
	return config, nil
}

// Client speaks to one API server. Its errors are those of package
// k8s.io/apimachinery/pkg/api/errors.
type Client struct{ rest rest.Interface }

// New returns a client for the cluster. It keeps a copy of the configuration.
func New(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme() // knows what errors look like, and no more
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.GroupVersion = &schema.GroupVersion{}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for the cluster: %w", err)
	}
	return &Client{client}, nil
}

// Get reads what is under a path of the API, such as /version.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	return body(c.rest.Get().AbsPath(path).Do(ctx))
}

// body returns what the API server answers, or the error it tells of; Raw alone
// would call that one unknown.
func body(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

// Objects are the cluster's objects of one kind. Each is read into a T; fields
// that T lacks cost nothing. An empty namespace stands for the whole cluster.
type Objects[T any] struct {
	client   *Client
	group    string // the path of group and version
	plural   string
	selector string
}

// Of returns the objects of a kind, which its group, its version and its plural
// name in small letters tell.
func Of[T any](c *Client, group, version, plural string) Objects[T] {
	path := "/apis/" + group + "/" + version
	if group == "" {
		path = "/api/" + version
	}
	return Objects[T]{client: c, group: path, plural: plural}
}

// Where returns those with labels, such as "dapr.io/enabled=true", for listing
// and watching.
func (o Objects[T]) Where(labels string) Objects[T] {
	o.selector = labels
	return o
}

// to points a request at the kind or, with a name, at one object.
func (o Objects[T]) to(r *rest.Request, namespace, name string) *rest.Request {
	path := []string{o.group}
	if namespace != "" {
		path = append(path, "namespaces", namespace)
	}
	path = append(path, o.plural)
	if name != "" {
		path = append(path, name)
	}
	return r.AbsPath(path...)
}

func read[T any](r rest.Result) (*T, error) {
	data, err := body(r)
	if err != nil {
		return nil, err
	}
	t := new(T)
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("read what the API server answers: %w", err)
	}
	return t, nil
}

// Get reads one object.
func (o Objects[T]) Get(ctx context.Context, namespace, name string) (*T, error) {
	return read[T](o.to(o.client.rest.Get(), namespace, name).Do(ctx))
}

// Create makes the object, and returns it as it is then.
func (o Objects[T]) Create(ctx context.Context, namespace string, object *T) (*T, error) {
	return o.write(ctx, o.to(o.client.rest.Post(), namespace, ""), object)
}

// Update replaces the object of a name, and returns it as it is then. It is a
// conflict when somebody else has changed the object since it was read.
func (o Objects[T]) Update(ctx context.Context, namespace, name string, object *T) (*T, error) {
	return o.write(ctx, o.to(o.client.rest.Put(), namespace, name), object)
}

// Patch changes part of an object, and returns it as it is then.
func (o Objects[T]) Patch(ctx context.Context, namespace, name string, kind types.PatchType, patch []byte) (*T, error) {
	return read[T](o.to(o.client.rest.Patch(kind), namespace, name).Body(patch).Do(ctx))
}

// Delete deletes one object.
func (o Objects[T]) Delete(ctx context.Context, namespace, name string) error {
	return o.to(o.client.rest.Delete(), namespace, name).Do(ctx).Error()
}

func (o Objects[T]) write(ctx context.Context, r *rest.Request, object *T) (*T, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return read[T](r.SetHeader("Content-Type", runtime.ContentTypeJSON).Body(data).Do(ctx))
}
