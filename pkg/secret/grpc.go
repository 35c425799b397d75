package secret

import (
	"context"

	runtimev1pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
)

// RPC is the part of the gRPC API that reads secrets. It has no other methods,
// so that a server can embed the parts of all blocks.
type RPC struct{ block *Block }

// NewRPC returns the gRPC face of the block.
func NewRPC(b *Block) RPC { return RPC{b} }

// GetSecret implements runtimev1pb.DaprServer.
func (r RPC) GetSecret(ctx context.Context, in *runtimev1pb.GetSecretRequest) (*runtimev1pb.GetSecretResponse, error) {
	values, err := r.block.Get(ctx, in.GetStoreName(), in.GetKey(), in.GetMetadata())
	if err != nil {
		return nil, err
	}
	return &runtimev1pb.GetSecretResponse{Data: values}, nil
}

// GetBulkSecret implements runtimev1pb.DaprServer.
func (r RPC) GetBulkSecret(ctx context.Context, in *runtimev1pb.GetBulkSecretRequest) (*runtimev1pb.GetBulkSecretResponse, error) {
	secrets, err := r.block.BulkGet(ctx, in.GetStoreName(), in.GetMetadata())
	if err != nil {
		return nil, err
	}
	data := make(map[string]*runtimev1pb.SecretResponse, len(secrets))
	for name, values := range secrets {
		data[name] = &runtimev1pb.SecretResponse{Secrets: values}
	}
	return &runtimev1pb.GetBulkSecretResponse{Data: data}, nil
}
