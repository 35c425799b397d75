// Package grpcapi is the gRPC face's kit: the server, what every call passes
// through, and the one place where errors become statuses.
package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/apifilter"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Options are a server's choices. The zero value is a server without
// authentication, with grpc-go's limits.
type Options struct {
	// MaxMessage limits a message in either direction, in bytes; 0 is grpc-go's
	// limit.
	MaxMessage int
	// MaxHeader limits a request's metadata, in bytes; 0 is grpc-go's limit.
	MaxHeader int
	// Token, when set, must come with every call as "dapr-api-token".
	Token string
	// Filter refuses the operations of the Dapr service that the Configuration
	// does not offer.
	Filter apifilter.Filter
	// Missing are the errors of the groups of operations that nobody implements.
	Missing map[string]error
	// Unknown handles calls to services that are not registered: proxying to
	// apps. It counts as an operation of the group "invoke"; when it is nil or
	// not offered, such calls are unimplemented.
	Unknown grpc.StreamHandler
	// Credentials secure the connections; nil is plain text.
	Credentials credentials.TransportCredentials
	// Grace is how long calls may go on after Serve's context has ended.
	Grace time.Duration

	// Log gets failed calls; nil is none.
	Log *slog.Logger
	// APILog, when set, gets a line at level info for every call.
	APILog *slog.Logger
	// Metrics, when set, measure every call. Servers may share them.
	Metrics *Metrics
	// Errors counts the error codes; nil counts nothing.
	Errors *apierror.Counter

	// Extra are passed to grpc-go, such as a tracer's stats handler or more
	// interceptors, which come after this package's.
	Extra []grpc.ServerOption
}

// Server is a gRPC server. Services are registered on it before Serve.
type Server struct {
	grpc    *grpc.Server
	token   []byte
	refused map[string]error // by full method names
	grace   time.Duration
	log     *slog.Logger
	apiLog  *slog.Logger
	metrics *Metrics
	errors  *apierror.Counter
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// New returns a server without services.
func New(o Options) *Server {
	s := &Server{
		token:   []byte(o.Token),
		refused: refusedMethods(o.Filter, o.Missing),
		grace:   o.Grace,
		log:     o.Log,
		apiLog:  o.APILog,
		metrics: o.Metrics,
		errors:  o.Errors,
	}
	if s.log == nil {
		s.log = telemetry.Discard()
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		// Calls run on goroutines that are there already and have grown their
		// stacks; when all are busy, a call gets one of its own.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		// Apps and SDKs ping as often as they like, also between calls.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
	if o.MaxMessage > 0 {
		options = append(options, grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(o.MaxMessage))
	}
	if o.MaxHeader > 0 {
		options = append(options, grpc.MaxHeaderListSize(uint32(o.MaxHeader)))
	}
	if o.Credentials != nil {
		options = append(options, grpc.Creds(o.Credentials))
	}
	if o.Unknown != nil && o.Filter.Allows(invoke) {
		options = append(options, grpc.UnknownServiceHandler(o.Unknown))
	}
	s.grpc = grpc.NewServer(append(options, o.Extra...)...)
	return s
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// Serve answers calls on the listeners, which it closes, until ctx ends; then
// it lets the running ones finish within the grace period and cuts off the
// rest. It can be called once. An error means that a listener failed.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("serve gRPC on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		s.shutdown()
		return nil
	})
	return g.Wait()
}

func (s *Server) shutdown() {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.grpc.GracefulStop()
	}()
	grace := time.NewTimer(s.grace)
	defer grace.Stop()
	select {
	case <-finished:
	case <-grace.C:
		s.log.Warn("gRPC calls were cut off", "grace", s.grace)
		s.grpc.Stop()
		<-finished
	}
}
