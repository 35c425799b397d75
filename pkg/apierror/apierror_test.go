package apierror

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestBothEncodings(t *testing.T) {
	e := New("ERR_STATE_GET", 500, codes.Internal, "get %s: %w", "k", io.ErrUnexpectedEOF).
		WithReason("DAPR_STATE_GET", map[string]string{"key": "k"}).
		WithResource("state", "store", "app", "").
		WithField("key", "must not be empty")
	require.ErrorIs(t, e, io.ErrUnexpectedEOF)

	body, err := json.Marshal(e)
	require.NoError(t, err)
	require.JSONEq(t, `{"errorCode":"ERR_STATE_GET","message":"get k: unexpected EOF","details":[
		{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","reason":"DAPR_STATE_GET","metadata":{"key":"k"}},
		{"@type":"type.googleapis.com/google.rpc.ResourceInfo","resource_type":"state","resource_name":"store","owner":"app"},
		{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"key","description":"must not be empty"}]}]}`, string(body))

	s := status.Convert(fmt.Errorf("wrapped: %w", e))
	require.Equal(t, codes.Internal, s.Code())
	require.Len(t, s.Details(), 3)
	require.Equal(t, "DAPR_STATE_GET", s.Details()[0].(*errdetails.ErrorInfo).GetReason())
}

func TestLegacyBodyHasNoDetails(t *testing.T) {
	body, err := json.Marshal(New("ERR_X", 400, codes.InvalidArgument, "no"))
	require.NoError(t, err)
	require.JSONEq(t, `{"errorCode":"ERR_X","message":"no"}`, string(body))
}

func TestAddingDetailsLeavesTheOriginalAlone(t *testing.T) {
	base := New("ERR_X", 400, codes.InvalidArgument, "no")
	_ = base.WithReason("R", nil)
	require.Empty(t, base.Details)
}

func TestFrom(t *testing.T) {
	own := New("ERR_X", 404, codes.NotFound, "no")
	require.Same(t, own, From(fmt.Errorf("op: %w", own)))

	fromStatus := From(status.Error(codes.Unavailable, "down"))
	require.Equal(t, 503, fromStatus.HTTP)
	require.Equal(t, codes.Unavailable, fromStatus.GRPC)

	other := From(errors.New("boom"))
	require.Equal(t, "ERROR", other.Code)
	require.Equal(t, 500, other.HTTP)
	require.Equal(t, codes.Internal, other.GRPC)
}

func TestStatusMappings(t *testing.T) {
	for httpStatus, code := range map[int]codes.Code{
		200: codes.OK, 204: codes.OK, 400: codes.Internal, 401: codes.Unauthenticated, 403: codes.PermissionDenied,
		404: codes.NotFound, 409: codes.AlreadyExists, 500: codes.Unknown, 503: codes.Unavailable,
	} {
		require.Equal(t, code, GRPCCode(httpStatus), "HTTP %d", httpStatus)
	}
	for code, httpStatus := range map[codes.Code]int{
		codes.OK: 200, codes.InvalidArgument: 400, codes.NotFound: 404, codes.Aborted: 409, codes.PermissionDenied: 403, codes.Internal: 500, codes.Unimplemented: 501,
	} {
		require.Equal(t, httpStatus, HTTPStatus(code), "gRPC %s", code)
	}
}
