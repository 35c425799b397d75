package operator

import (
	"context"
	"log/slog"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hyperdapr/dapr/pkg/security"
)

// operatorServer is the Operator protocol over the resources: whoever calls gets
// what is in the namespace and the scope that its certificate names.
type operatorServer struct {
	operatorv1.UnimplementedOperatorServer
	resources *resources
	log       *slog.Logger
	// end ends the streams, which would otherwise outlive the service.
	end context.Context //nolint:containedctx // streams have contexts of their own
}

// caller is who calls, which must be in the namespace it asks for.
func (s *operatorServer) caller(ctx context.Context, namespace string) (caller, error) {
	id, ok := security.PeerID(ctx)
	if !ok {
		return caller{}, status.Error(codes.Unauthenticated, "the call comes without a certificate")
	}
	if id.Namespace != namespace {
		return caller{}, status.Errorf(codes.PermissionDenied, "%s may not read resources of the namespace %q", id, namespace)
	}
	return caller{namespace: id.Namespace, appID: id.AppID}, nil
}

func (s *operatorServer) list(ctx context.Context, plural, namespace string) ([][]byte, error) {
	who, err := s.caller(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return s.resources.list(ctx, plural, who)
}

func (s *operatorServer) get(ctx context.Context, plural, namespace, name string) ([]byte, error) {
	if _, err := s.caller(ctx, namespace); err != nil {
		return nil, err
	}
	return s.resources.get(ctx, plural, namespace, name)
}

// follow sends changes until the caller leaves or the service ends.
func (s *operatorServer) follow(stream grpc.ServerStream, plural, namespace string, send func([]byte, operatorv1.ResourceEventType) error) error {
	ctx := stream.Context()
	who, err := s.caller(ctx, namespace)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.end, cancel)()
	// From the headers on, no change is missed: the sidecar then reads what there
	// is.
	begun := func() error { return stream.SendHeader(nil) }
	if err := s.resources.follow(ctx, plural, who, begun, send); err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "the operator is ending")
}

// ListComponents implements operatorv1.OperatorServer, as do all below.
func (s *operatorServer) ListComponents(ctx context.Context, req *operatorv1.ListComponentsRequest) (*operatorv1.ListComponentResponse, error) {
	documents, err := s.list(ctx, components, req.GetNamespace())
	return &operatorv1.ListComponentResponse{Components: documents}, err
}

func (s *operatorServer) ListHTTPEndpoints(ctx context.Context, req *operatorv1.ListHTTPEndpointsRequest) (*operatorv1.ListHTTPEndpointsResponse, error) {
	documents, err := s.list(ctx, endpoints, req.GetNamespace())
	return &operatorv1.ListHTTPEndpointsResponse{HttpEndpoints: documents}, err
}

func (s *operatorServer) ListSubscriptionsV2(ctx context.Context, req *operatorv1.ListSubscriptionsRequest) (*operatorv1.ListSubscriptionsResponse, error) {
	documents, err := s.list(ctx, subscriptions, req.GetNamespace())
	return &operatorv1.ListSubscriptionsResponse{Subscriptions: documents}, err
}

// ListSubscriptions is what sidecars of old releases call: the namespace is that
// of their certificate.
func (s *operatorServer) ListSubscriptions(ctx context.Context, _ *emptypb.Empty) (*operatorv1.ListSubscriptionsResponse, error) {
	id, _ := security.PeerID(ctx) // without one, ListSubscriptionsV2 refuses
	return s.ListSubscriptionsV2(ctx, &operatorv1.ListSubscriptionsRequest{Namespace: id.Namespace})
}

func (s *operatorServer) ListResiliency(ctx context.Context, req *operatorv1.ListResiliencyRequest) (*operatorv1.ListResiliencyResponse, error) {
	documents, err := s.list(ctx, resiliencies, req.GetNamespace())
	return &operatorv1.ListResiliencyResponse{Resiliencies: documents}, err
}

func (s *operatorServer) ListMCPServers(ctx context.Context, req *operatorv1.ListMCPServersRequest) (*operatorv1.ListMCPServersResponse, error) {
	documents, err := s.list(ctx, mcpServers, req.GetNamespace())
	return &operatorv1.ListMCPServersResponse{McpServers: documents}, err
}

func (s *operatorServer) ListWorkflowAccessPolicy(ctx context.Context, req *operatorv1.ListWorkflowAccessPolicyRequest) (*operatorv1.ListWorkflowAccessPolicyResponse, error) {
	documents, err := s.list(ctx, accessPolicies, req.GetNamespace())
	return &operatorv1.ListWorkflowAccessPolicyResponse{Policies: documents}, err
}

func (s *operatorServer) GetConfiguration(ctx context.Context, req *operatorv1.GetConfigurationRequest) (*operatorv1.GetConfigurationResponse, error) {
	document, err := s.get(ctx, configurations, req.GetNamespace(), req.GetName())
	return &operatorv1.GetConfigurationResponse{Configuration: document}, err
}

func (s *operatorServer) GetResiliency(ctx context.Context, req *operatorv1.GetResiliencyRequest) (*operatorv1.GetResiliencyResponse, error) {
	document, err := s.get(ctx, resiliencies, req.GetNamespace(), req.GetName())
	return &operatorv1.GetResiliencyResponse{Resiliency: document}, err
}

func (s *operatorServer) ComponentUpdate(req *operatorv1.ComponentUpdateRequest, stream operatorv1.Operator_ComponentUpdateServer) error {
	return s.follow(stream, components, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.ComponentUpdateEvent{Component: document, Type: typ})
	})
}

func (s *operatorServer) HTTPEndpointUpdate(req *operatorv1.HTTPEndpointUpdateRequest, stream operatorv1.Operator_HTTPEndpointUpdateServer) error {
	return s.follow(stream, endpoints, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.HTTPEndpointUpdateEvent{HttpEndpoints: document, Type: typ})
	})
}

func (s *operatorServer) ConfigurationUpdate(req *operatorv1.ConfigurationUpdateRequest, stream operatorv1.Operator_ConfigurationUpdateServer) error {
	return s.follow(stream, configurations, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.ConfigurationUpdateEvent{Configuration: document, Type: typ})
	})
}

func (s *operatorServer) SubscriptionUpdate(req *operatorv1.SubscriptionUpdateRequest, stream operatorv1.Operator_SubscriptionUpdateServer) error {
	return s.follow(stream, subscriptions, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.SubscriptionUpdateEvent{Subscription: document, Type: typ})
	})
}

func (s *operatorServer) ResiliencyUpdate(req *operatorv1.ResiliencyUpdateRequest, stream operatorv1.Operator_ResiliencyUpdateServer) error {
	return s.follow(stream, resiliencies, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.ResiliencyUpdateEvent{Resiliency: document, Type: typ})
	})
}

func (s *operatorServer) MCPServerUpdate(req *operatorv1.MCPServerUpdateRequest, stream operatorv1.Operator_MCPServerUpdateServer) error {
	return s.follow(stream, mcpServers, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.MCPServerUpdateEvent{McpServer: document, Type: typ})
	})
}

func (s *operatorServer) WorkflowAccessPolicyUpdate(req *operatorv1.WorkflowAccessPolicyUpdateRequest, stream operatorv1.Operator_WorkflowAccessPolicyUpdateServer) error {
	return s.follow(stream, accessPolicies, req.GetNamespace(), func(document []byte, typ operatorv1.ResourceEventType) error {
		return stream.Send(&operatorv1.WorkflowAccessPolicyUpdateEvent{Policy: document, Type: typ})
	})
}
