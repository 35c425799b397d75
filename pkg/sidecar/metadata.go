package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/version"
)

// metadata is what the sidecar tells about itself. The message of the protocol
// is its model: gRPC sends it, HTTP writes it as JSON.
type metadata struct {
	// describe returns a fresh message with everything but the extended part.
	describe func() *runtimev1.GetMetadataResponse
	// extended are the values that were set: they belong to the sidecar and
	// outlive a reload.
	extended *extended
}

// extended is the part of the metadata that callers set.
type extended struct {
	// stored, when set, is told of every new value.
	stored func(key, value string) error

	mu     sync.RWMutex
	values map[string]string
}

func (e *extended) all() map[string]string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := maps.Clone(e.values)
	if all == nil {
		all = make(map[string]string)
	}
	return all
}

func (e *extended) set(key, value string) error {
	e.mu.Lock()
	if e.values == nil {
		e.values = make(map[string]string)
	}
	e.values[key] = value
	e.mu.Unlock()
	if e.stored == nil {
		return nil
	}
	return e.stored(key, value)
}

func (m *metadata) get() *runtimev1.GetMetadataResponse {
	res := m.describe()
	res.ExtendedMetadata = m.extended.all()
	res.ExtendedMetadata["daprRuntimeVersion"] = version.Version()
	return res
}

func (m *metadata) set(key, value string) error {
	if key == "" {
		return apierror.New("ERR_MALFORMED_REQUEST", http.StatusBadRequest, codes.InvalidArgument, "the metadata key is empty")
	}
	if err := m.extended.set(key, value); err != nil {
		return apierror.New("ERR_METADATA_SET", http.StatusInternalServerError, codes.Internal, "metadata %q was set, but not in the machine's registry: %w", key, err)
	}
	return nil
}

func (m *metadata) routes() []httpapi.Route {
	return []httpapi.Route{
		{Methods: []string{http.MethodGet}, Path: "/v1.0/metadata", Group: "metadata", Version: "v1", Name: "GetMetadata", Handler: m.getMetadata, Public: true},
		{Methods: []string{http.MethodPut}, Path: "/v1.0/metadata/{key}", Group: "metadata", Version: "v1", Name: "PutMetadata", Handler: m.putMetadata, Public: true},
	}
}

func (m *metadata) getMetadata(w http.ResponseWriter, _ *http.Request) error {
	body, err := protojson.Marshal(m.get())
	if err != nil {
		return err
	}
	// protojson varies its white space on purpose; scripts grep this answer.
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = compact.WriteTo(w)
	return err
}

func (m *metadata) putMetadata(w http.ResponseWriter, r *http.Request) error {
	body, err := httpapi.ReadBody(r)
	if err != nil {
		return err
	}
	if err := m.set(httpapi.Param(r, "key"), string(body)); err != nil {
		return err
	}
	return httpapi.Empty(w)
}

// metadataRPC is the gRPC face.
type metadataRPC struct{ m *metadata }

// GetMetadata implements runtimev1.DaprServer.
func (r metadataRPC) GetMetadata(context.Context, *runtimev1.GetMetadataRequest) (*runtimev1.GetMetadataResponse, error) {
	return r.m.get(), nil
}

// SetMetadata implements runtimev1.DaprServer.
func (r metadataRPC) SetMetadata(_ context.Context, req *runtimev1.SetMetadataRequest) (*emptypb.Empty, error) {
	if err := r.m.set(req.GetKey(), req.GetValue()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
