package invoke

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	contrib "github.com/dapr/components-contrib/nameresolution"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/nameresolution"
	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/resiliency"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// stack is what a sidecar makes of the block, without the rest of a sidecar.
type stack struct {
	block   *Block
	metrics *telemetry.Metrics
	url     string           // of the HTTP API
	api     *grpc.ClientConn // to the gRPC API
	http    *httptest.Server
}

// pids are made up: all stacks of a test are in one process.
var pids atomic.Int64

// start runs a stack that finds others through the registry in folder.
func start(tb testing.TB, folder, appID string, change ...func(*Options)) *stack {
	tb.Helper()
	resolver := nameresolution.NewLocal(telemetry.Discard())
	require.NoError(tb, resolver.Init(tb.Context(), contrib.Metadata{Configuration: map[string]any{"folder": folder}}))
	s := &stack{metrics: telemetry.NewMetrics(appID)}
	o := Options{
		AppID: appID, Resolver: resolver, HostAddress: "127.0.0.1", Metrics: s.metrics,
		Retry: &resiliency.Policy{MaxRetries: 3, Wait: resiliency.Constant(20 * time.Millisecond), Retryable: resiliency.ServiceRetries().Retryable},
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	s.block, err = New(o)
	require.NoError(tb, err)

	internal := listen(tb)
	options := append(peer.ServerOptions(), grpc.UnknownServiceHandler(s.block.ProxyFromPeer))
	internalServer := grpc.NewServer(options...)
	peer.Register(internalServer, s.block)
	go func() { _ = internalServer.Serve(internal) }()

	public := listen(tb)
	publicServer := grpc.NewServer(grpc.ForceServerCodecV2(peer.Codec()), grpc.UnknownServiceHandler(s.block.ProxyFromApp))
	runtimev1.RegisterDaprServer(publicServer, struct {
		RPC
		base
	}{RPC: NewRPC(s.block)})
	go func() { _ = publicServer.Serve(public) }()

	s.http = httptest.NewUnstartedServer(httpapi.New(httpapi.Options{Routes: s.block.Routes(), Fallback: s.block.Fallback}))
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetHTTP1(true)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Start()
	s.url = s.http.URL
	s.api, err = grpc.NewClient(public.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(tb, err)

	registered, err := instances.Register(folder, instances.Instance{
		AppID: appID, Namespace: o.Namespace, PID: int(pids.Add(1)), Address: internal.Addr().String(), Started: time.Now(),
	})
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_ = registered.Close()
		s.api.Close()
		s.http.CloseClientConnections()
		s.http.Close()
		internalServer.Stop()
		publicServer.Stop()
		require.NoError(tb, s.block.Close())
	})
	return s
}

type base struct{ unimplemented }

type unimplemented struct {
	runtimev1.UnimplementedDaprServer
}

// withApp gives a stack the app at an address or URL.
func withApp(tb testing.TB, protocol app.Protocol, at string, change ...func(*app.Options)) func(*Options) {
	tb.Helper()
	_, hostPort, ok := strings.Cut(at, "://")
	if !ok {
		hostPort = at
	}
	host, port, err := net.SplitHostPort(hostPort)
	require.NoError(tb, err)
	n, err := strconv.Atoi(port)
	require.NoError(tb, err)
	o := app.Options{Protocol: protocol, Host: host, Port: n}
	for _, c := range change {
		c(&o)
	}
	channel, err := app.New(o)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = channel.Close() })
	return func(o *Options) { o.App = channel }
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	return l
}

// serve runs an HTTP app.
func serve(tb testing.TB, h http.HandlerFunc) string {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.URL
}

// fixedResolver answers every question alike.
type fixedResolver func() string

func (fixedResolver) Init(context.Context, contrib.Metadata) error { return nil }
func (fixedResolver) Close() error                                 { return nil }
func (r fixedResolver) ResolveID(context.Context, contrib.ResolveRequest) (string, error) {
	return r(), nil
}
