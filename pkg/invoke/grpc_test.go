package invoke

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hyperdapr/dapr/pkg/app"
)

// grpcApp is an app with the callback service and one of its own.
type grpcApp struct {
	runtimev1.UnimplementedAppCallbackServer
	testgrpc.UnimplementedTestServiceServer
}

func (grpcApp) OnInvoke(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if n, err := strconv.Atoi(in.GetMethod()); err == nil {
		s, err := status.New(codes.Code(n), "no").WithDetails(&errdetails.ErrorInfo{Reason: "R"})
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-got", strings.Join(append(md.Get("x-custom"), md.Get("dapr-caller-app-id")...), ","), "x-bin", "\x00\x01"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-last", "1"))
	return &commonv1.InvokeResponse{
		Data:        &anypb.Any{TypeUrl: in.GetData().GetTypeUrl(), Value: append([]byte(in.GetMethod()+" "), in.GetData().GetValue()...)},
		ContentType: in.GetContentType(),
	}, nil
}

func (grpcApp) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if in.GetResponseStatus() != nil {
		return nil, status.Error(codes.Code(in.GetResponseStatus().GetCode()), in.GetResponseStatus().GetMessage())
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-caller", strings.Join(md.Get("dapr-caller-app-id"), ","), "x-token", strings.Join(md.Get("dapr-api-token"), ",")))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-last", "1"))
	return &testgrpc.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (grpcApp) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if err := stream.SendHeader(metadata.Pairs("x-early", "1")); err != nil {
		return err
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

func serveGRPC(t *testing.T) string {
	t.Helper()
	l := listen(t)
	s := grpc.NewServer()
	runtimev1.RegisterAppCallbackServer(s, grpcApp{})
	testgrpc.RegisterTestServiceServer(s, grpcApp{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// grpcStacks are a caller, and two apps: "http" and "grpc". The caller's own
// app is a gRPC one.
func grpcStacks(t *testing.T) *stack {
	t.Helper()
	folder := t.TempDir()
	token := func(o *app.Options) { o.Token = "secret" }
	start(t, folder, "http", withApp(t, app.HTTP, serve(t, mirror)))
	start(t, folder, "grpc", withApp(t, app.GRPC, serveGRPC(t), token))
	return start(t, folder, "caller", withApp(t, app.GRPC, serveGRPC(t), token))
}

func invokeRequest(id, method, data string) *runtimev1.InvokeServiceRequest {
	return &runtimev1.InvokeServiceRequest{Id: id, Message: &commonv1.InvokeRequest{
		Method: method, ContentType: "text/x", Data: &anypb.Any{TypeUrl: "type/x", Value: []byte(data)},
		HttpExtension: &commonv1.HTTPExtension{Verb: commonv1.HTTPExtension_PUT, Querystring: "x=1"},
	}}
}

func TestInvokeServiceOfHTTPApp(t *testing.T) {
	client := runtimev1.NewDaprClient(grpcStacks(t).api)
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-custom", "1")
	resp, err := client.InvokeService(ctx, invokeRequest("http", "a/b", "hello"), grpc.Header(&header))
	require.NoError(t, err)
	require.Equal(t, "hello", string(resp.GetData().GetValue()))
	require.Equal(t, []string{"PUT"}, header.Get("x-method"))
	require.Equal(t, []string{"/a/b?x=1"}, header.Get("x-uri"))
	require.Equal(t, []string{"1"}, header.Get("got-x-custom"))
	require.Equal(t, []string{"text/x"}, header.Get("got-content-type"))
	require.Equal(t, []string{"caller"}, header.Get("got-dapr-caller-app-id"))
	require.Equal(t, []string{"200"}, header.Get("dapr-http-status"))

	for httpStatus, want := range map[int]codes.Code{
		204: codes.OK, 400: codes.Internal, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound,
		409: codes.AlreadyExists, 500: codes.Unknown, 503: codes.Unavailable, 418: codes.Unknown,
	} {
		in := invokeRequest("http", "m", strings.Repeat("e", 100))
		in.Message.HttpExtension.Querystring = "status=" + strconv.Itoa(httpStatus)
		_, err := client.InvokeService(t.Context(), in)
		require.Equal(t, want, status.Code(err), httpStatus)
		if want == codes.OK {
			continue
		}
		info := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
		require.Equal(t, "dapr.io", info.GetDomain())
		require.Equal(t, strconv.Itoa(httpStatus), info.GetMetadata()["http.code"])
		require.Equal(t, strings.Repeat("e", 63), info.GetMetadata()["http.error_message"])
	}
}

func TestInvokeServiceOfGRPCApp(t *testing.T) {
	client := runtimev1.NewDaprClient(grpcStacks(t).api)
	for _, id := range []string{"grpc", "caller"} {
		t.Run(id, func(t *testing.T) {
			var header, trailer metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-custom", "1")
			resp, err := client.InvokeService(ctx, invokeRequest(id, "m", "hello"), grpc.Header(&header), grpc.Trailer(&trailer))
			require.NoError(t, err)
			require.Equal(t, "m hello", string(resp.GetData().GetValue()))
			require.Equal(t, "type/x", resp.GetData().GetTypeUrl())
			require.Equal(t, "text/x", resp.GetContentType())
			require.Equal(t, []string{"1,caller"}, header.Get("x-got"))
			require.Equal(t, []string{"\x00\x01"}, header.Get("x-bin"))
			require.Equal(t, []string{"1"}, trailer.Get("x-last"))
			require.Empty(t, header.Get("dapr-http-status"))

			_, err = client.InvokeService(t.Context(), invokeRequest(id, "7", ""))
			require.Equal(t, codes.PermissionDenied, status.Code(err))
			require.Equal(t, "no", status.Convert(err).Message())
			require.Equal(t, "R", status.Convert(err).Details()[0].(*errdetails.ErrorInfo).GetReason())
		})
	}
}

func TestInvokeServiceRefuses(t *testing.T) {
	client := runtimev1.NewDaprClient(start(t, t.TempDir(), "caller").api)
	_, err := client.InvokeService(t.Context(), invokeRequest("", "m", ""))
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = client.InvokeService(t.Context(), &runtimev1.InvokeServiceRequest{Id: "a"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = client.InvokeService(t.Context(), invokeRequest("nobody", "m", ""))
	require.Equal(t, codes.Internal, status.Code(err))
	require.ErrorContains(t, err, "failed to invoke, id: nobody, err: couldn't find service: nobody")
}

func TestGRPCAppOverHTTP(t *testing.T) {
	caller := grpcStacks(t)
	for _, id := range []string{"grpc", "caller"} {
		t.Run(id, func(t *testing.T) {
			resp, body := call(t, "POST", caller.url+"/v1.0/invoke/"+id+"/method/m", "hello", "X-Custom", "1", "Content-Type", "text/x")
			require.Equal(t, 200, resp.StatusCode)
			require.Equal(t, "m hello", body)
			require.Equal(t, "text/x", resp.Header.Get("Content-Type"))
			require.Equal(t, "1,caller", resp.Header.Get("X-Got"))
			for code, want := range map[codes.Code]int{codes.InvalidArgument: 400, codes.NotFound: 404, codes.Unavailable: 503, codes.Internal: 500} {
				resp, body := call(t, "GET", caller.url+"/v1.0/invoke/"+id+"/method/"+strconv.Itoa(int(code)), "")
				require.Equal(t, want, resp.StatusCode)
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
				require.JSONEq(t, `{"code":`+strconv.Itoa(int(code))+`,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"}]}`, body)
			}
		})
	}
}

func TestProxy(t *testing.T) {
	client := testgrpc.NewTestServiceClient(grpcStacks(t).api)
	for _, id := range []string{"grpc", "caller"} {
		t.Run(id, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", id, "dapr-api-token", "of the sidecar")
			var header, trailer metadata.MD
			in := &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: []byte(strings.Repeat("x", 100000))}}
			resp, err := client.UnaryCall(ctx, in, grpc.Header(&header), grpc.Trailer(&trailer))
			require.NoError(t, err)
			require.Len(t, resp.GetPayload().GetBody(), 100000)
			require.Equal(t, []string{"caller"}, header.Get("x-caller"))
			require.Equal(t, []string{"secret"}, header.Get("x-token"))
			require.Equal(t, []string{"1"}, trailer.Get("x-last"))

			_, err = client.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 9, Message: "why"}})
			require.Equal(t, codes.FailedPrecondition, status.Code(err))
			require.Equal(t, "why", status.Convert(err).Message())

			stream, err := client.FullDuplexCall(ctx)
			require.NoError(t, err)
			early, err := stream.Header()
			require.NoError(t, err, "before any message")
			require.Equal(t, []string{"1"}, early.Get("x-early"))
			for _, word := range []string{"one", "two"} {
				require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte(word)}}))
				got, err := stream.Recv()
				require.NoError(t, err)
				require.Equal(t, word, string(got.GetPayload().GetBody()))
			}
			require.NoError(t, stream.CloseSend())
			_, err = stream.Recv()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	caller := grpcStacks(t)
	client := testgrpc.NewTestServiceClient(caller.api)
	for _, tt := range []struct {
		name, id string
		code     codes.Code
		message  string
	}{
		{"no app id", "", codes.Unimplemented, "name the app in the metadata dapr-app-id"},
		{"not an app id", "a.b.c", codes.InvalidArgument, "more than one dot"},
		{"no such app", "nobody", codes.Unavailable, "failed to invoke, id: nobody"},
		{"an HTTP app", "http", codes.FailedPrecondition, "the app speaks http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			if tt.id != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "dapr-app-id", tt.id)
			}
			_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
			require.Equal(t, tt.code, status.Code(err))
			require.ErrorContains(t, err, tt.message)
		})
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "grpc"))
	stream, err := client.FullDuplexCall(ctx)
	require.NoError(t, err)
	cancel()
	_, err = stream.Recv()
	require.Equal(t, codes.Canceled, status.Code(err))
}

func TestHTTPStatusText(t *testing.T) {
	s := status.Convert(httpError(http.StatusNotFound, []byte("why")))
	require.Equal(t, codes.NotFound, s.Code())
	require.Equal(t, "Not Found", s.Message())
	require.Equal(t, "HTTP status 299999", status.Convert(httpError(299999, nil)).Message())
}
