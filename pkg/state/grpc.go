package state

import (
	"context"
	"encoding/json"
	"strings"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/emptypb"
)

// RPC is the block's part of the gRPC API: the state methods of the Dapr
// service, to be embedded beside those of the other blocks.
type RPC struct {
	block *Block
}

// NewRPC returns the gRPC methods of b.
func NewRPC(b *Block) RPC { return RPC{block: b} }

// GetState implements the Dapr service.
func (r RPC) GetState(ctx context.Context, in *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	item, err := r.block.Get(ctx, in.GetStoreName(), GetRequest{
		Key:         in.GetKey(),
		Consistency: consistency(in.GetConsistency()),
		Metadata:    in.GetMetadata(),
	})
	if err != nil {
		return nil, err
	}
	return &runtimev1.GetStateResponse{Data: item.Data, Etag: item.ETag, Metadata: item.Metadata}, nil
}

// GetBulkState implements the Dapr service.
func (r RPC) GetBulkState(ctx context.Context, in *runtimev1.GetBulkStateRequest) (*runtimev1.GetBulkStateResponse, error) {
	items, err := r.block.BulkGet(ctx, in.GetStoreName(), in.GetKeys(), int(in.GetParallelism()), in.GetMetadata())
	if err != nil {
		return nil, err
	}
	out := &runtimev1.GetBulkStateResponse{Items: make([]*runtimev1.BulkStateItem, len(items))}
	for i, item := range items {
		out.Items[i] = &runtimev1.BulkStateItem{Key: item.Key, Data: item.Data, Etag: item.ETag, Metadata: item.Metadata, Error: item.Err}
	}
	return out, nil
}

// SaveState implements the Dapr service.
func (r RPC) SaveState(ctx context.Context, in *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	requests := make([]SaveRequest, len(in.GetStates()))
	for i, item := range in.GetStates() {
		requests[i] = saveRequest(item)
	}
	if err := r.block.Save(ctx, in.GetStoreName(), requests); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// QueryStateAlpha1 implements the Dapr service.
func (r RPC) QueryStateAlpha1(ctx context.Context, in *runtimev1.QueryStateRequest) (*runtimev1.QueryStateResponse, error) {
	answer, err := r.block.Query(ctx, in.GetStoreName(), []byte(in.GetQuery()), in.GetMetadata())
	if err != nil {
		return nil, err
	}
	out := &runtimev1.QueryStateResponse{Results: make([]*runtimev1.QueryStateItem, len(answer.Items)), Token: answer.Token, Metadata: answer.Metadata}
	for i, item := range answer.Items {
		out.Results[i] = &runtimev1.QueryStateItem{Key: item.Key, Data: item.Data, Etag: item.ETag, Error: item.Err}
	}
	return out, nil
}

// DeleteState implements the Dapr service.
func (r RPC) DeleteState(ctx context.Context, in *runtimev1.DeleteStateRequest) (*emptypb.Empty, error) {
	err := r.block.Delete(ctx, in.GetStoreName(), DeleteRequest{
		Key:       in.GetKey(),
		Condition: condition(in.GetEtag(), in.GetOptions(), in.GetMetadata()),
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// DeleteBulkState implements the Dapr service.
func (r RPC) DeleteBulkState(ctx context.Context, in *runtimev1.DeleteBulkStateRequest) (*emptypb.Empty, error) {
	requests := make([]DeleteRequest, len(in.GetStates()))
	for i, item := range in.GetStates() {
		requests[i] = DeleteRequest{Key: item.GetKey(), Condition: condition(item.GetEtag(), item.GetOptions(), item.GetMetadata())}
	}
	if err := r.block.DeleteBulk(ctx, in.GetStoreName(), requests); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// ExecuteStateTransaction implements the Dapr service.
func (r RPC) ExecuteStateTransaction(ctx context.Context, in *runtimev1.ExecuteStateTransactionRequest) (*emptypb.Empty, error) {
	operations := make([]Operation, len(in.GetOperations()))
	for i, o := range in.GetOperations() {
		operations[i] = Operation{Type: o.GetOperationType(), SaveRequest: saveRequest(o.GetRequest())}
	}
	if err := r.block.Transact(ctx, in.GetStoreName(), operations, in.GetMetadata()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func saveRequest(item *commonv1.StateItem) SaveRequest {
	return SaveRequest{
		Key:       item.GetKey(),
		Value:     item.GetValue(),
		JSON:      declaredJSON(item.GetMetadata()) && json.Valid(item.GetValue()),
		Condition: condition(item.GetEtag(), item.GetOptions(), item.GetMetadata()),
	}
}

// declaredJSON reports whether the caller says that its bytes are JSON.
func declaredJSON(metadata map[string]string) bool {
	mediaType, _, _ := strings.Cut(metadata["contentType"], ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}

func condition(etag *commonv1.Etag, o *commonv1.StateOptions, metadata map[string]string) Condition {
	return Condition{
		ETag:        etag.GetValue(),
		Concurrency: concurrency(o.GetConcurrency()),
		Consistency: consistency(o.GetConsistency()),
		Metadata:    metadata,
	}
}

// consistency is the option's name; an unknown number is its own name, which
// the Block refuses.
func consistency(c commonv1.StateOptions_StateConsistency) string {
	switch c {
	case commonv1.StateOptions_CONSISTENCY_UNSPECIFIED:
		return ""
	case commonv1.StateOptions_CONSISTENCY_EVENTUAL:
		return "eventual"
	case commonv1.StateOptions_CONSISTENCY_STRONG:
		return "strong"
	}
	return c.String()
}

// concurrency is to the concurrency option what consistency is to the other.
func concurrency(c commonv1.StateOptions_StateConcurrency) string {
	switch c {
	case commonv1.StateOptions_CONCURRENCY_UNSPECIFIED:
		return ""
	case commonv1.StateOptions_CONCURRENCY_FIRST_WRITE:
		return "first-write"
	case commonv1.StateOptions_CONCURRENCY_LAST_WRITE:
		return "last-write"
	}
	return c.String()
}
