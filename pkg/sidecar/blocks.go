package sidecar

import (
	"context"

	contrib "github.com/dapr/components-contrib/nameresolution"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"github.com/hyperdapr/dapr/pkg/component"
	_ "github.com/hyperdapr/dapr/pkg/components" // every compiled-in driver
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/invoke"
	"github.com/hyperdapr/dapr/pkg/nameresolution"
	"github.com/hyperdapr/dapr/pkg/secret"
	"github.com/hyperdapr/dapr/pkg/state"
)

// kinds are the component categories that a block here owns, each with its
// drivers.
var kinds = map[string]interface{ Check(component.Spec) error }{
	"secretstores": &secret.Drivers,
	"state":        &state.Drivers,
}

// blocks are the building blocks of one generation.
type blocks struct {
	state  *state.Block
	secret *secret.Block
	invoke *invoke.Block
}

// newBlocks makes the blocks, without components. The app is connected before.
func (g *generation) newBlocks() (b blocks, err error) {
	o := g.s.o
	b.state = state.New(state.Options{AppID: o.AppID, Namespace: o.Namespace, Log: g.s.base, Metrics: g.metrics})
	b.secret = secret.New(secret.Options{
		Namespace: o.Namespace, Log: g.s.base, Metrics: g.metrics, Scopes: g.set.config.Spec.Secrets.Scopes,
	})
	resolver, err := g.openResolver()
	if err != nil {
		return b, err
	}
	b.invoke, err = invoke.New(invoke.Options{
		AppID: o.AppID, Namespace: o.Namespace, App: g.app, Resolver: resolver, InternalPort: portOf(g.s.listeners.internal),
		HostAddress: g.s.hostAddress(), Credentials: g.s.identity.peers(), Access: g.set.access, MaxBodySize: o.messageLimit(), Metrics: g.metrics,
	})
	return b, err
}

// openResolver opens the name resolution of the Configuration; by default apps
// on one machine find each other through its registry, apps in a cluster through
// its DNS.
func (g *generation) openResolver() (nameresolution.Resolver, error) {
	o, choice := g.s.o, g.set.config.Spec.NameResolution
	driver := choice.Component
	if driver == "" {
		driver = "local"
		if o.Mode == ModeKubernetes {
			driver = "kubernetes"
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	return nameresolution.Open(ctx, nameresolution.Options{
		Driver: driver, Version: choice.Version, Configuration: choice.Configuration,
		Folder: instances.Folder(instances.RuntimeDir(g.s.lookupEnv)),
		Instance: contrib.Instance{
			AppID: o.AppID, Namespace: o.Namespace, Address: g.s.hostAddress(), DaprHTTPPort: portOf(g.s.listeners.http...),
			DaprInternalPort: portOf(g.s.listeners.internal),
		},
	}, g.s.base)
}

// owners are the blocks that own components, by kind.
func (b blocks) owners() map[string]Block {
	owners := make(map[string]Block)
	for _, block := range []Block{b.secret, b.state} {
		owners[block.Kind()] = block
	}
	return owners
}

// routes are the HTTP face of all blocks.
func (b blocks) routes() []httpapi.Route {
	var routes []httpapi.Route
	for _, block := range []interface{ Routes() []httpapi.Route }{b.state, b.secret, b.invoke} {
		routes = append(routes, block.Routes()...)
	}
	return routes
}

// rpc is the gRPC face: each block's methods, and Unimplemented for the rest.
type rpc struct {
	unimplemented
	stateRPC
	secretRPC
	invokeRPC
	metadataRPC
	shutdownRPC
}

// unimplemented is one level further down than the blocks' methods, so that
// those win.
type unimplemented struct {
	runtimev1.UnimplementedDaprServer
}

// Embedded types need names of their own.
type (
	stateRPC  = state.RPC
	secretRPC = secret.RPC
	invokeRPC = invoke.RPC
)

var _ runtimev1.DaprServer = rpc{}
