package app

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// lockedBuffer is a log that another goroutine writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// healthApp is an app whose health can be switched.
type healthApp struct {
	runtimev1.UnimplementedAppCallbackHealthCheckServer
	sick   atomic.Bool
	failed atomic.Int64
}

func (a *healthApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ready" {
		if a.sick.Load() {
			a.failed.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func (a *healthApp) HealthCheck(context.Context, *emptypb.Empty) (*runtimev1.HealthCheckResponse, error) {
	if a.sick.Load() {
		a.failed.Add(1)
		return nil, status.Error(codes.Internal, "sick")
	}
	return &runtimev1.HealthCheckResponse{}, nil
}

func TestHealth(t *testing.T) {
	var httpApp, grpcApp healthApp
	overHTTP := httptest.NewServer(&httpApp)
	defer overHTTP.Close()
	overGRPC := serveGRPC(t, func(s *grpc.Server) { runtimev1.RegisterAppCallbackHealthCheckServer(s, &grpcApp) })

	for _, tt := range []struct {
		protocol Protocol
		at       string
		app      *healthApp
	}{{HTTP, overHTTP.URL, &httpApp}, {GRPC, overGRPC, &grpcApp}} {
		t.Run(string(tt.protocol), func(t *testing.T) {
			changes := make(chan bool, 10)
			c := channelTo(t, tt.at, Options{Protocol: tt.protocol, Health: &HealthOptions{
				Path: "/ready", Interval: 100 * time.Millisecond, Timeout: 90 * time.Millisecond, Threshold: 3,
				OnChange: func(_ context.Context, healthy bool) { changes <- healthy },
			}})
			_, err := c.Invoke(t.Context(), &Request{Verb: "GET", Header: http.Header{}})
			require.ErrorIs(t, err, ErrUnhealthy, "until the first check")
			require.ErrorContains(t, err, "app is not in a healthy state")

			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Health().Run(ctx) }()
			require.True(t, <-changes)
			require.True(t, c.Health().Healthy())
			resp, err := c.Invoke(t.Context(), &Request{Verb: "GET", Header: http.Header{}})
			require.NoError(t, err)
			require.NoError(t, resp.Close())

			tt.app.sick.Store(true)
			require.False(t, <-changes)
			require.GreaterOrEqual(t, tt.app.failed.Load(), int64(3), "not before the threshold")
			_, err = c.Invoke(t.Context(), &Request{Verb: "GET", Header: http.Header{}})
			require.ErrorIs(t, err, ErrUnhealthy)

			tt.app.sick.Store(false)
			require.True(t, <-changes, "one success is enough")
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
	}
}

func TestHealthDefaults(t *testing.T) {
	c, err := New(Options{Port: 1, Health: &HealthOptions{}})
	require.NoError(t, err)
	o := c.Health().Options()
	require.Equal(t, "/healthz", o.Path)
	require.Equal(t, 5*time.Second, o.Interval)
	require.Equal(t, 500*time.Millisecond, o.Timeout)
	require.Equal(t, 3, o.Threshold)
}
