// Package peer is the wire contract between two sidecars: the service
// dapr.proto.internals.v1.ServiceInvocation, its client and its server. A call
// is one stream; a small one is one message each way.
package peer

import (
	"context"

	"github.com/hyperdapr/dapr/pkg/app"
)

// Handler answers calls of other sidecars for the app of this one.
//
// It is called from many goroutines. The response's body, if it has one, is
// closed by the server. An error reaches the caller as its gRPC status.
type Handler interface {
	ServeInvoke(ctx context.Context, req *app.Request) (*app.Response, error)
}

// Target is a sidecar.
type Target struct {
	// Address is what gRPC can dial: "host:port".
	Address string
	// AppID and Namespace are whom to expect there: with mTLS, its certificate
	// must say so.
	AppID, Namespace string
}
