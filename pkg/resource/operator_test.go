package resource

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// operatorServer answers as the operator does.
type operatorServer struct {
	operatorv1.UnimplementedOperatorServer
	component string
	events    chan *operatorv1.ComponentUpdateEvent
}

func (s *operatorServer) ListComponents(_ context.Context, req *operatorv1.ListComponentsRequest) (*operatorv1.ListComponentResponse, error) {
	if req.GetNamespace() != "shop" {
		return &operatorv1.ListComponentResponse{}, nil
	}
	return &operatorv1.ListComponentResponse{Components: [][]byte{[]byte(s.component)}}, nil
}

func (*operatorServer) ListHTTPEndpoints(context.Context, *operatorv1.ListHTTPEndpointsRequest) (*operatorv1.ListHTTPEndpointsResponse, error) {
	return &operatorv1.ListHTTPEndpointsResponse{}, nil
}

func (*operatorServer) GetConfiguration(_ context.Context, req *operatorv1.GetConfigurationRequest) (*operatorv1.GetConfigurationResponse, error) {
	if req.GetName() != "appconfig" {
		return &operatorv1.GetConfigurationResponse{}, nil
	}
	return &operatorv1.GetConfigurationResponse{Configuration: []byte(
		`{"apiVersion":"dapr.io/v1alpha1","kind":"Configuration","metadata":{"name":"appconfig","uid":"1"},"spec":{"features":[{"name":"HotReload","enabled":false}]}}`)}, nil
}

func (s *operatorServer) ComponentUpdate(_ *operatorv1.ComponentUpdateRequest, stream operatorv1.Operator_ComponentUpdateServer) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case e := <-s.events:
			if err := stream.Send(e); err != nil {
				return err
			}
		}
	}
}

func dialOperator(t *testing.T, s *operatorServer) operatorv1.OperatorClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	operatorv1.RegisterOperatorServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return operatorv1.NewOperatorClient(conn)
}

const sentComponent = `{"apiVersion":"dapr.io/v1alpha1","kind":"Component","metadata":{"name":"statestore","namespace":"shop","resourceVersion":"7"},
"spec":{"type":"state.redis","version":"v1","metadata":[{"name":"redisHost","value":"redis:6379"},
{"name":"redisPassword","value":"aHVudGVyMg==","secretKeyRef":{"name":"redis","key":"password"}}]},"auth":{"secretStore":"kubernetes"}}`

func TestOperatorLoad(t *testing.T) {
	o := Operator{Client: dialOperator(t, &operatorServer{component: sentComponent}), Namespace: "shop", Configuration: "appconfig"}
	config, all, err := o.Load(t.Context())
	require.NoError(t, err)
	require.False(t, config.FeatureEnabled("HotReload"))
	components := Select[*Component](all)
	require.Len(t, components, 1)

	spec, err := components[0].Resolve(t.Context(), Env{InlinedSecretStore: "kubernetes"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"redisHost": "redis:6379", "redisPassword": "hunter2"}, spec.Metadata)
	require.Equal(t, map[string]bool{"redisPassword": true}, spec.SecretKeys)

	o.Configuration = "none"
	_, _, err = o.Load(t.Context())
	require.ErrorContains(t, err, `there is no Configuration "none" in namespace "shop"`)
}

func TestOperatorWatchTellsOfChanges(t *testing.T) {
	s := &operatorServer{component: sentComponent, events: make(chan *operatorv1.ComponentUpdateEvent)}
	o := Operator{Client: dialOperator(t, s), Namespace: "shop"}
	ctx, cancel := context.WithCancel(t.Context())
	var changes atomic.Int32
	done := make(chan error, 1)
	go func() { done <- o.Watch(ctx, func() { changes.Add(1) }) }()
	// What changed between Load and now is not missed.
	require.Eventually(t, func() bool { return changes.Load() == 1 }, 5*time.Second, time.Millisecond)
	s.events <- &operatorv1.ComponentUpdateEvent{Component: []byte(sentComponent)}
	require.Eventually(t, func() bool { return changes.Load() == 2 }, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
