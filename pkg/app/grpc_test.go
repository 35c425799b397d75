package app

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// callback is a gRPC app.
type callback struct {
	runtimev1.UnimplementedAppCallbackServer
	onInvoke func(context.Context, *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error)
}

func (c *callback) OnInvoke(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
	return c.onInvoke(ctx, in)
}

func serveGRPC(t *testing.T, register func(*grpc.Server), o ...grpc.ServerOption) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(o...)
	register(s)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestInvokeGRPC(t *testing.T) {
	var got *commonv1.InvokeRequest
	var md metadata.MD
	app := &callback{onInvoke: func(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
		got = in
		md, _ = metadata.FromIncomingContext(ctx)
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-out", "1", "raw-bin", "\x00\xff"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-last", "2"))
		return &commonv1.InvokeResponse{Data: &anypb.Any{TypeUrl: "t/x", Value: in.GetData().GetValue()}, ContentType: "text/x"}, nil
	}}
	register := func(s *grpc.Server) { runtimev1.RegisterAppCallbackServer(s, app) }
	secure := httptest.NewTLSServer(nil) // for its certificate
	secure.Close()
	creds := credentials.NewTLS(&tls.Config{Certificates: secure.TLS.Certificates})

	for protocol, address := range map[Protocol]string{GRPC: serveGRPC(t, register), GRPCS: serveGRPC(t, register, grpc.Creds(creds))} {
		t.Run(string(protocol), func(t *testing.T) {
			c := channelTo(t, address, Options{Protocol: protocol, Token: "secret"})
			req := &Request{Verb: "PUT", Path: "m", Query: "q=1", DataType: "t/in", Header: http.Header{
				"X-In": {"a", "b"}, "Content-Type": {"application/json"}, "Authorization": {"mine"}, "In-Bin": {"AP8="},
			}}
			// A body of unknown length has to be read: OnInvoke is one message.
			require.NoError(t, req.SetBody(strings.NewReader("hello"), -1))
			resp, err := c.Invoke(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, "m", got.GetMethod())
			require.Equal(t, "hello", string(got.GetData().GetValue()))
			require.Equal(t, "t/in", got.GetData().GetTypeUrl())
			require.Equal(t, "application/json", got.GetContentType())
			require.Equal(t, commonv1.HTTPExtension_PUT, got.GetHttpExtension().GetVerb())
			require.Equal(t, "q=1", got.GetHttpExtension().GetQuerystring())
			require.Equal(t, []string{"a", "b"}, md.Get("x-in"))
			require.Equal(t, []string{"mine"}, md.Get("dapr-authorization"), "reserved names cross under a prefix")
			require.Equal(t, []string{"\x00\xff"}, md.Get("in-bin"))
			require.Equal(t, []string{"secret"}, md.Get("dapr-api-token"))

			require.False(t, resp.IsHTTP())
			require.Equal(t, int(codes.OK), resp.Status)
			require.Equal(t, "hello", body(t, resp))
			require.Equal(t, "t/x", resp.DataType)
			require.Equal(t, "text/x", resp.Header.Get("Content-Type"))
			require.Equal(t, "1", resp.Header.Get("X-Out"))
			require.Equal(t, "AP8=", resp.Header.Get("Raw-Bin"))
			require.Equal(t, "2", resp.Trailer.Get("X-Last"))
		})
	}
}

func TestGRPCStatusIsAnAnswer(t *testing.T) {
	for _, code := range []codes.Code{codes.NotFound, codes.Unavailable, codes.Unimplemented} {
		t.Run(code.String(), func(t *testing.T) {
			address := serveGRPC(t, func(s *grpc.Server) {
				runtimev1.RegisterAppCallbackServer(s, &callback{onInvoke: func(context.Context, *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
					st, err := status.New(code, "no").WithDetails(&errdetails.ErrorInfo{Reason: "R"})
					require.NoError(t, err)
					return nil, st.Err()
				}})
			})
			resp, err := channelTo(t, address, Options{Protocol: GRPC}).Invoke(t.Context(), &Request{Header: http.Header{}})
			require.NoError(t, err)
			require.Equal(t, int(code), resp.Status)
			require.Equal(t, "no", resp.Message)
			require.Len(t, resp.Details, 1)
		})
	}
}

func TestGRPCAppThatIsNotThereAndComesBack(t *testing.T) {
	address := freeAddress(t)
	c := channelTo(t, address, Options{Protocol: GRPC})
	for range 2 {
		_, err := c.Invoke(t.Context(), &Request{Header: http.Header{}})
		require.ErrorIs(t, err, ErrNotListening)
		require.ErrorContains(t, err, "--app-port")

		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		s := grpc.NewServer()
		runtimev1.RegisterAppCallbackServer(s, &callback{onInvoke: func(context.Context, *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
			return &commonv1.InvokeResponse{}, nil
		}})
		go func() { _ = s.Serve(l) }()
		_, err = c.Invoke(t.Context(), &Request{Header: http.Header{}})
		require.NoError(t, err, "at once, whatever the backoff")
		s.Stop()
	}
}

func TestBodyTooLargeForOneMessage(t *testing.T) {
	address := serveGRPC(t, func(s *grpc.Server) { runtimev1.RegisterAppCallbackServer(s, &callback{}) })
	req := &Request{Header: http.Header{}}
	require.NoError(t, req.SetBody(strings.NewReader(strings.Repeat("x", 101)), -1))
	_, err := channelTo(t, address, Options{Protocol: GRPC, MaxBodySize: 100}).Invoke(t.Context(), req)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "--max-body-size")
}

func TestConnIsForGRPCApps(t *testing.T) {
	_, _, err := channelTo(t, freeAddress(t), Options{}).Conn(t.Context())
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	require.ErrorContains(t, err, "--app-protocol grpc")
}

func TestHeaderAndMetadata(t *testing.T) {
	md := ToMetadata(http.Header{
		"X-Custom": {"1", "2"}, "Host": {"h"}, "User-Agent": {"u"}, "Content-Type": {"t"}, "Content-Length": {"3"},
		"Grpc-Timeout": {"1S"}, "Grpc-Trace-Bin": {"AAE="}, "Traceparent": {"00-1"}, "Broken-Bin": {"***"},
	})
	require.Equal(t, metadata.MD{
		"x-custom": {"1", "2"}, "dapr-host": {"h"}, "dapr-user-agent": {"u"}, "dapr-grpc-timeout": {"1S"},
		"grpc-trace-bin": {"\x00\x01"}, "traceparent": {"00-1"}, "broken-bin": {"***"},
	}, md)
	require.Equal(t, http.Header{
		"X-Custom": {"1"}, "Dapr-Authority": {"a"}, "User-Agent": {"u"}, "Dapr-Grpc-Encoding": {"gzip"}, "Grpc-Trace-Bin": {"AAE="},
	}, FromMetadata(metadata.MD{
		"x-custom": {"1"}, ":authority": {"a"}, "user-agent": {"u"}, "content-type": {"application/grpc"}, "grpc-encoding": {"gzip"}, "grpc-trace-bin": {"\x00\x01"},
	}))
}
