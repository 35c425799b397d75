// Package nameresolution finds the sidecar of an app: on this machine, on the
// local network or through DNS, as the Configuration says.
package nameresolution

import (
	"context"
	"fmt"
	"log/slog"

	contrib "github.com/dapr/components-contrib/nameresolution"

	"github.com/hyperdapr/dapr/pkg/component"
)

// Resolver is the driver interface of the component library. ResolveID may
// block and is called from many goroutines; its answer is "host:port".
type Resolver = contrib.Resolver

// Invalidator is an optional interface of a resolver that keeps what it found.
// It is told that the app was not there.
type Invalidator interface {
	Invalidate(appID, namespace string)
}

// Drivers are the compiled-in resolvers, under "nameresolution.<name>".
var Drivers component.Registry[Resolver]

// Options says which resolver to open, and for whom.
type Options struct {
	// Driver is the name in the Configuration, such as "mdns".
	Driver string
	// Version is v1 when empty.
	Version string
	// Configuration is the driver's own part of the Configuration, as decoded
	// from YAML.
	Configuration any
	// Instance is the calling sidecar, for drivers that announce it.
	Instance contrib.Instance
	// Folder is the registry of this machine's sidecars, which the driver "local"
	// reads.
	Folder string
}

// Open makes and initialises a resolver. Close it.
func Open(ctx context.Context, o Options, l *slog.Logger) (Resolver, error) {
	spec := component.Spec{Name: o.Driver, Type: "nameresolution." + o.Driver, Version: o.Version}
	r, err := Drivers.New(spec, l)
	if err != nil {
		return nil, fmt.Errorf("name resolution: %w", err)
	}
	md := contrib.Metadata{Instance: o.Instance, Configuration: o.Configuration}
	md.Name = o.Driver
	md.Properties = md.GetPropertiesMap()
	md.Properties[folderProperty] = o.Folder
	if err := r.Init(ctx, md); err != nil {
		return nil, fmt.Errorf("name resolution %s: %w", o.Driver, err)
	}
	return r, nil
}
