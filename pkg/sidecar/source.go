package sidecar

import (
	"context"

	"github.com/hyperdapr/dapr/pkg/resource"
)

// source is where the Configuration and the resources come from.
type source interface {
	// Load reads everything anew. It returns what it could read beside the
	// mistakes; the Configuration is nil when it has one.
	Load(ctx context.Context) (*resource.Configuration, []resource.Resource, error)
	// Watch calls changed, maybe too often, when Load could return something
	// else. It returns when the context ends.
	Watch(ctx context.Context, changed func()) error
}
