package grpcapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	commonv1pb "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/apifilter"
	"github.com/hyperdapr/dapr/pkg/grpcapi"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// api is a Dapr service made of the functions a test sets.
type api struct {
	runtimev1pb.UnimplementedDaprServer
	getState func(context.Context, *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error)
	encrypt  func(runtimev1pb.Dapr_EncryptAlpha1Server) error
}

func (a api) GetState(ctx context.Context, in *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
	return a.getState(ctx, in)
}

func (a api) EncryptAlpha1(s runtimev1pb.Dapr_EncryptAlpha1Server) error { return a.encrypt(s) }

func echoState(_ context.Context, in *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
	return &runtimev1pb.GetStateResponse{Data: []byte(in.GetKey())}, nil
}

// start serves a until the test ends, and returns a connection and a way to end
// earlier that waits for Serve.
func start(tb testing.TB, o grpcapi.Options, a api) (conn *grpc.ClientConn, stop func() error) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	if o.Grace == 0 {
		o.Grace = time.Minute
	}
	s := grpcapi.New(o)
	runtimev1pb.RegisterDaprServer(s, a)
	ctx, cancel := context.WithCancel(tb.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	stop = func() error {
		cancel()
		err := <-served
		served <- err
		return err
	}
	conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(tb, err)
	tb.Cleanup(func() {
		conn.Close()
		require.NoError(tb, stop())
	})
	return conn, stop
}

func TestErrors(t *testing.T) {
	base := apierror.New("ERR_STATE_GET", http.StatusInternalServerError, codes.Internal, "fail to get %s", "k").
		WithReason("DAPR_STATE_GET", nil)
	for _, tc := range []struct {
		name    string
		err     error
		code    codes.Code
		message string
		counted string
		level   string
	}{
		{"API error", base, codes.Internal, "fail to get k", "ERR_STATE_GET", "warning"},
		{"wrapped API error", fmt.Errorf("outer: %w", base), codes.Internal, "fail to get k", "ERR_STATE_GET", "warning"},
		{"caller's mistake", apierror.New("ERR_X", http.StatusBadRequest, codes.InvalidArgument, "no"), codes.InvalidArgument, "no", "ERR_X", "debug"},
		{"status passes", status.Error(codes.NotFound, "app says no"), codes.NotFound, "app says no", "", ""},
		{"deadline", fmt.Errorf("driver: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "driver: context deadline exceeded", "", ""},
		{"anything else", errors.New("boom"), codes.Internal, "boom", "ERROR", "warning"},
		{"an error is never OK", &apierror.Error{Code: "ERR_Y", HTTP: 500, Message: "m"}, codes.Internal, "m", "ERR_Y", "warning"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			reg := prometheus.NewRegistry()
			conn, stop := start(t, grpcapi.Options{
				Log:    telemetry.NewLogger(&log, telemetry.LogOptions{Level: slog.LevelDebug}),
				Errors: apierror.NewCounter(reg),
			}, api{getState: func(context.Context, *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
				return nil, tc.err
			}})
			_, err := runtimev1pb.NewDaprClient(conn).GetState(t.Context(), &runtimev1pb.GetStateRequest{})
			require.Equal(t, tc.code, status.Code(err))
			require.Equal(t, tc.message, status.Convert(err).Message())
			if errors.Is(tc.err, base) {
				require.Equal(t, "DAPR_STATE_GET", status.Convert(err).Details()[0].(*errdetails.ErrorInfo).GetReason())
			}
			require.NoError(t, stop())
			if tc.counted == "" {
				require.Empty(t, log.String())
				require.Zero(t, testutil.CollectAndCount(reg))
				return
			}
			require.Equal(t, 1, strings.Count(log.String(), "\n"))
			require.Contains(t, log.String(), "level="+tc.level+` msg="API call failed" code=`+tc.counted)
			require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP dapr_error_code_total Errors answered by the API, by code.
# TYPE dapr_error_code_total counter
dapr_error_code_total{category="state",error_code=%q} 1
`, tc.counted))))
		})
	}
}

func TestPanicsStayInTheirCall(t *testing.T) {
	var log bytes.Buffer
	conn, stop := start(t, grpcapi.Options{Log: telemetry.NewLogger(&log, telemetry.LogOptions{})}, api{
		getState: func(context.Context, *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
			panic("unary oops")
		},
		encrypt: func(runtimev1pb.Dapr_EncryptAlpha1Server) error { panic("stream oops") },
	})
	client := runtimev1pb.NewDaprClient(conn)
	_, err := client.GetState(t.Context(), &runtimev1pb.GetStateRequest{})
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "oops")

	stream, err := client.EncryptAlpha1(t.Context())
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, codes.Internal, status.Code(err))

	require.NoError(t, stop())
	require.Contains(t, log.String(), `panic="unary oops"`)
	require.Contains(t, log.String(), `panic="stream oops"`)
	require.Contains(t, log.String(), "server_test.go", "the stack is missing")
}

func TestToken(t *testing.T) {
	seen := make(chan metadata.MD, 1)
	see := func(ctx context.Context) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
	}
	conn, _ := start(t, grpcapi.Options{Token: "s3cret"}, api{
		getState: func(ctx context.Context, in *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
			see(ctx)
			return echoState(ctx, in)
		},
		encrypt: func(s runtimev1pb.Dapr_EncryptAlpha1Server) error {
			see(s.Context())
			return nil
		},
	})
	client := runtimev1pb.NewDaprClient(conn)
	for name, call := range map[string]func(context.Context) error{
		"unary": func(ctx context.Context) error {
			_, err := client.GetState(ctx, &runtimev1pb.GetStateRequest{})
			return err
		},
		"stream": func(ctx context.Context) error {
			stream, err := client.EncryptAlpha1(ctx)
			if err == nil {
				_, err = stream.Recv()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range []string{"", "s3c", "s3creT"} {
				ctx := t.Context()
				if wrong != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "dapr-api-token", wrong)
				}
				err := call(ctx)
				require.Equal(t, codes.Unauthenticated, status.Code(err), wrong)
				require.Equal(t, "invalid api token", status.Convert(err).Message())
			}
			require.NoError(t, call(metadata.AppendToOutgoingContext(t.Context(), "dapr-api-token", "s3cret", "other", "kept")))
			md := <-seen
			require.Empty(t, md.Get("dapr-api-token"), "the token leaks to whoever is behind")
			require.Equal(t, []string{"kept"}, md.Get("other"))
		})
	}
}

func TestFilter(t *testing.T) {
	const other = "/shop.Orders/Get"
	for _, tc := range []struct {
		name            string
		allowed, denied []apifilter.Rule
		getState        codes.Code
		other           codes.Code
	}{
		{"no lists", nil, nil, codes.OK, codes.OK},
		{"denied", nil, []apifilter.Rule{{Name: "state", Version: "v1"}}, codes.Unimplemented, codes.OK},
		{"denied over HTTP only", nil, []apifilter.Rule{{Name: "state", Version: "v1", Protocol: "http"}}, codes.OK, codes.OK},
		{"only state", []apifilter.Rule{{Name: "state", Version: "v1"}}, nil, codes.OK, codes.Unimplemented},
		{"only alpha state", []apifilter.Rule{{Name: "state", Version: "v1alpha1"}, {Name: "invoke", Version: "v1"}}, nil, codes.Unimplemented, codes.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, _ := start(t, grpcapi.Options{
				Filter:  apifilter.Filter{Allowed: tc.allowed, Denied: tc.denied},
				Unknown: func(_ any, s grpc.ServerStream) error { return s.SendMsg(&emptypb.Empty{}) },
			}, api{getState: echoState})
			_, err := runtimev1pb.NewDaprClient(conn).GetState(t.Context(), &runtimev1pb.GetStateRequest{})
			require.Equal(t, tc.getState, status.Code(err))
			err = conn.Invoke(t.Context(), other, &emptypb.Empty{}, &emptypb.Empty{})
			require.Equal(t, tc.other, status.Code(err))
		})
	}
}

func TestMessageLimit(t *testing.T) {
	conn, _ := start(t, grpcapi.Options{MaxMessage: 1 << 10}, api{getState: echoState})
	client := runtimev1pb.NewDaprClient(conn)
	_, err := client.GetState(t.Context(), &runtimev1pb.GetStateRequest{Key: strings.Repeat("k", 1000)})
	require.NoError(t, err)
	_, err = client.GetState(t.Context(), &runtimev1pb.GetStateRequest{Key: strings.Repeat("k", 1100)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestMetricsAndAPILog(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	o := grpcapi.Options{
		Metrics: grpcapi.NewMetrics(reg, []float64{60_000}),
		APILog:  telemetry.Scope(telemetry.NewLogger(&log, telemetry.LogOptions{}), "dapr.runtime.grpc.api-info"),
	}
	conn, stop := start(t, o, api{getState: echoState, encrypt: func(s runtimev1pb.Dapr_EncryptAlpha1Server) error {
		for {
			in, err := s.Recv()
			if err != nil {
				return status.Error(codes.Aborted, "end")
			}
			if err := s.Send(&runtimev1pb.EncryptResponse{Payload: in.GetPayload()}); err != nil {
				return err
			}
		}
	}})
	grpcapi.New(o) // two servers share the metrics
	client := runtimev1pb.NewDaprClient(conn)
	for range 2 {
		_, err := client.GetState(t.Context(), &runtimev1pb.GetStateRequest{Key: "12345678"}) // 10 bytes each way
		require.NoError(t, err)
	}
	stream, err := client.EncryptAlpha1(t.Context())
	require.NoError(t, err)
	for range 3 {
		// 2 + 2 + 12 bytes each way: a payload in a payload.
		require.NoError(t, stream.Send(&runtimev1pb.EncryptRequest{Payload: &commonv1pb.StreamPayload{Data: []byte("0123456789")}}))
		_, err := stream.Recv()
		require.NoError(t, err)
	}
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	require.Equal(t, codes.Aborted, status.Code(err))
	require.NoError(t, stop())

	families, err := reg.Gather()
	require.NoError(t, err)
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "dapr_grpc_io_server_")
			for _, l := range m.GetLabel() {
				name += " " + strings.TrimPrefix(l.GetValue(), "/dapr.proto.runtime.v1.Dapr/")
			}
			switch {
			case m.GetCounter() != nil:
				got[name] = m.GetCounter().GetValue()
			case strings.HasPrefix(name, "server_latency"):
				got[name] = float64(m.GetHistogram().GetSampleCount())
			default:
				got[name] = m.GetHistogram().GetSampleSum()
			}
		}
	}
	require.Equal(t, map[string]float64{
		"completed_rpcs GetState OK":           2,
		"completed_rpcs EncryptAlpha1 Aborted": 1,
		"server_latency GetState OK":           2,
		"server_latency EncryptAlpha1 Aborted": 1,
		"received_bytes_per_rpc GetState":      20,
		"sent_bytes_per_rpc GetState":          20,
		"received_bytes_per_rpc EncryptAlpha1": 42,
		"sent_bytes_per_rpc EncryptAlpha1":     42,
	}, got)

	require.Equal(t, 3, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), `level=info msg="gRPC API Called" code=OK duration=`)
	require.Contains(t, log.String(), "method=/dapr.proto.runtime.v1.Dapr/GetState scope=dapr.runtime.grpc.api-info type=log useragent=grpc-go/")
	require.Contains(t, log.String(), "code=Aborted")
}

func TestGracefulShutdown(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	slow := api{getState: func(ctx context.Context, in *runtimev1pb.GetStateRequest) (*runtimev1pb.GetStateResponse, error) {
		entered <- struct{}{}
		select {
		case <-finish:
		case <-ctx.Done():
		}
		return echoState(ctx, in)
	}}
	get := func(conn *grpc.ClientConn) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := runtimev1pb.NewDaprClient(conn).GetState(t.Context(), &runtimev1pb.GetStateRequest{})
			done <- err
		}()
		<-entered
		return done
	}

	t.Run("running calls finish", func(t *testing.T) {
		conn, stop := start(t, grpcapi.Options{Grace: time.Minute}, slow)
		done := get(conn)
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", conn.Target())
			if err == nil {
				c.Close()
			}
			return err != nil
		}, 10*time.Second, 5*time.Millisecond, "new connections are still taken")
		finish <- struct{}{}
		require.NoError(t, <-done)
		require.NoError(t, <-stopped)
	})

	t.Run("the rest is cut off", func(t *testing.T) {
		conn, stop := start(t, grpcapi.Options{Grace: 10 * time.Millisecond}, slow)
		done := get(conn)
		require.NoError(t, stop())
		require.Error(t, <-done)
	})
}

func TestServeReportsABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	healthy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = grpcapi.New(grpcapi.Options{}).Serve(t.Context(), healthy, l)
	require.ErrorContains(t, err, "serve gRPC on "+l.Addr().String())
	_, err = net.Dial("tcp", healthy.Addr().String())
	require.Error(t, err, "the other listener is still open")
}

func BenchmarkUnary(b *testing.B) {
	for name, o := range map[string]grpcapi.Options{
		"plain":      {},
		"everything": {Token: "s3cret", Metrics: grpcapi.NewMetrics(prometheus.NewRegistry(), nil), APILog: telemetry.Discard()},
	} {
		b.Run(name, func(b *testing.B) {
			conn, _ := start(b, o, api{getState: echoState})
			client := runtimev1pb.NewDaprClient(conn)
			ctx := metadata.AppendToOutgoingContext(b.Context(), "dapr-api-token", "s3cret")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.GetState(ctx, &runtimev1pb.GetStateRequest{Key: "order"}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
