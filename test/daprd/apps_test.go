package daprd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// httpApp runs an HTTP app and returns its port.
func httpApp(t *testing.T, h http.HandlerFunc) (port string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return portOf(s.URL)
}

// echo answers with what it was asked: the method, the path and the body, the
// content type, and the header x-in as x-out. The path status/N has the status
// N.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if t := r.Header.Get("Content-Type"); t != "" {
		w.Header().Set("Content-Type", t)
	}
	if v := r.Header.Get("X-In"); v != "" {
		w.Header().Set("X-Out", v)
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/")); err == nil {
		w.WriteHeader(n)
		fmt.Fprint(w, "refused by the app")
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
}

// grpcApp runs a gRPC app and returns its port.
func grpcApp(t *testing.T, a *callbacks, o ...grpc.ServerOption) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newGRPCApp(a, o...)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return portOf(l.Addr().String())
}

// newGRPCApp serves the protocol's callbacks, health, and the service that
// tests of gRPC itself use.
func newGRPCApp(a *callbacks, o ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(o...)
	runtimev1.RegisterAppCallbackServer(s, a)
	runtimev1.RegisterAppCallbackHealthCheckServer(s, a)
	testgrpc.RegisterTestServiceServer(s, a)
	return s
}

// serveOn runs an app on a port that was known before, until stop.
func serveOn(t *testing.T, protocol, port string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	if protocol == "grpc" {
		s := newGRPCApp(&callbacks{})
		go s.Serve(l)
		t.Cleanup(s.Stop)
		return s.Stop
	}
	s := &http.Server{Handler: http.HandlerFunc(echo), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(protocol == "http")
	s.Protocols.SetUnencryptedHTTP2(protocol == "h2c")
	go s.Serve(l)
	t.Cleanup(func() { _ = s.Close() })
	return func() { _ = s.Close() }
}

// callbacks is a gRPC app. It answers calls with what it was asked.
type callbacks struct {
	runtimev1.UnimplementedAppCallbackServer
	runtimev1.UnimplementedAppCallbackHealthCheckServer
	testgrpc.UnimplementedTestServiceServer
	sick atomic.Bool
	seen atomic.Pointer[metadata.MD] // of the last call
}

func (a *callbacks) see(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	a.seen.Store(&md)
}

func (a *callbacks) OnInvoke(ctx context.Context, in *commonv1.InvokeRequest) (*commonv1.InvokeResponse, error) {
	a.see(ctx)
	if in.GetMethod() == "fail" {
		return nil, status.Error(codes.AlreadyExists, "there is one already")
	}
	ext := in.GetHttpExtension()
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-out", strings.Join(metadata.ValueFromIncomingContext(ctx, "x-in"), ",")))
	return &commonv1.InvokeResponse{
		ContentType: in.GetContentType(),
		Data:        &anypb.Any{Value: fmt.Appendf(nil, "%s /%s?%s %s", ext.GetVerb(), in.GetMethod(), ext.GetQuerystring(), in.GetData().GetValue())},
	}, nil
}

func (a *callbacks) HealthCheck(context.Context, *emptypb.Empty) (*runtimev1.HealthCheckResponse, error) {
	if a.sick.Load() {
		return nil, status.Error(codes.Unavailable, "sick")
	}
	return &runtimev1.HealthCheckResponse{}, nil
}

func (a *callbacks) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	a.see(ctx)
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-header", "h", "x-data-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "t"))
	return &testgrpc.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (a *callbacks) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	a.see(stream.Context())
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

// gate is an app's handler that holds calls back until it is opened.
type gate struct {
	inside atomic.Int32
	opened chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{opened: make(chan struct{})}
	t.Cleanup(g.open) // an app's server waits for its handlers when it closes
	return g
}

func (g *gate) open() {
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.inside.Add(1)
	defer g.inside.Add(-1)
	select {
	case <-g.opened:
		fmt.Fprint(w, "through the gate")
	case <-r.Context().Done():
	}
}
