package kubernetes

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Getter is the cluster in the form that kubectl's and Helm's libraries take:
// it is a genericclioptions.RESTClientGetter.
type Getter interface {
	ToRESTConfig() (*rest.Config, error)
	ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error)
	ToRESTMapper() (meta.RESTMapper, error)
	ToRawKubeConfigLoader() clientcmd.ClientConfig
}

// Getter returns the cluster for kubectl's and Helm's libraries.
func (c *Client) Getter() Getter { return c.getter }

type getter struct {
	config *rest.Config
	loader clientcmd.ClientConfig

	mu     sync.Mutex
	cached discovery.CachedDiscoveryInterface
	mapper meta.ResettableRESTMapper
}

// ToRESTConfig returns a copy, because the libraries change what they get.
func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.loader }

// ToDiscoveryClient returns one that remembers until it is invalidated.
func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cached == nil {
		d, err := discovery.NewDiscoveryClientForConfig(g.config)
		if err != nil {
			return nil, err
		}
		g.cached = memory.NewMemCacheClient(d)
	}
	return g.cached, nil
}

// ToRESTMapper returns one that asks again when it does not know a kind: the
// CustomResourceDefinitions may be some milliseconds old.
func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	cached, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mapper == nil {
		g.mapper = restmapper.NewDeferredDiscoveryRESTMapper(cached)
	}
	return g.mapper, nil
}
