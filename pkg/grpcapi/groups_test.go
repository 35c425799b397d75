package grpcapi

import (
	"testing"

	runtimev1pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/apifilter"
)

// A method that is missing from the table could be called although the lists
// name its group.
func TestEveryMethodHasAGroup(t *testing.T) {
	var methods []string
	for _, m := range runtimev1pb.Dapr_ServiceDesc.Methods {
		methods = append(methods, m.MethodName)
	}
	for _, m := range runtimev1pb.Dapr_ServiceDesc.Streams {
		methods = append(methods, m.StreamName)
	}
	require.Len(t, methods, 72)
	used := make(map[string]bool)
	for _, m := range methods {
		op := operation("/dapr.proto.runtime.v1.Dapr/" + m)
		require.NotEmpty(t, op.Group, m)
		require.NoError(t, apifilter.Filter{Denied: []apifilter.Rule{{Name: op.Group, Version: op.Version}}}.Validate(), m)
		used[op.Group] = true
	}
	for _, group := range groups {
		require.True(t, used[group], group)
	}
}

func TestOperation(t *testing.T) {
	for method, want := range map[string]apifilter.Operation{
		"/dapr.proto.runtime.v1.Dapr/SaveState":          {Protocol: "grpc", Group: "state", Version: "v1"},
		"/dapr.proto.runtime.v1.Dapr/QueryStateAlpha1":   {Protocol: "grpc", Group: "state", Version: "v1alpha1"},
		"/dapr.proto.runtime.v1.Dapr/ConverseAlpha2":     {Protocol: "grpc", Group: "conversation", Version: "v1alpha2"},
		"/dapr.proto.runtime.v1.Dapr/StartWorkflowBeta1": {Protocol: "grpc", Group: "workflows", Version: "v1beta1"},
		"/dapr.proto.runtime.v1.Dapr/UnlockAlpha1":       {Protocol: "grpc", Group: "unlock", Version: "v1alpha1"},
		"/shop.Orders/SaveState":                         {Protocol: "grpc", Version: "v1"},
	} {
		require.Equal(t, want, operation(method), method)
	}
}
