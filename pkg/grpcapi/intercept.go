package grpcapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/apierror"
)

// tokenKey is the API token's metadata key.
const tokenKey = "dapr-api-token"

// unary is what every unary call passes through. It is one interceptor and not
// a chain of them, which would allocate a closure per call and link.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	start := time.Now()
	admitted, err := s.admit(ctx, info.FullMethod)
	if err == nil {
		resp, err = s.callUnary(admitted, req, info.FullMethod, handler)
	}
	err = s.status(ctx, info.FullMethod, err)
	if s.metrics != nil {
		s.metrics.observe(info.FullMethod, err, start, size(req), size(resp))
	}
	s.logCall(ctx, info.FullMethod, err, start)
	return resp, err
}

// stream is what every streaming call passes through, proxied ones too.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	start := time.Now()
	ctx := ss.Context()
	admitted, err := s.admit(ctx, info.FullMethod)
	counted := &countedStream{ServerStream: ss, ctx: admitted, count: s.metrics != nil}
	if err == nil {
		err = s.callStream(srv, counted, info.FullMethod, handler)
	}
	err = s.status(ctx, info.FullMethod, err)
	if s.metrics != nil {
		s.metrics.observe(info.FullMethod, err, start, int(counted.received.Load()), int(counted.sent.Load()))
	}
	s.logCall(ctx, info.FullMethod, err, start)
	return err
}

// admit checks the token and whether the method is offered. The context it returns
// no longer holds the token, so that it does not leak to another app.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	if len(s.token) > 0 {
		got := metadata.ValueFromIncomingContext(ctx, tokenKey)
		if len(got) == 0 || subtle.ConstantTimeCompare([]byte(got[0]), s.token) != 1 {
			return ctx, status.Error(codes.Unauthenticated, "invalid api token")
		}
		md, _ := metadata.FromIncomingContext(ctx) // a copy
		delete(md, tokenKey)
		ctx = metadata.NewIncomingContext(ctx, md)
	}
	return ctx, s.refused[method]
}

func (s *Server) callUnary(ctx context.Context, req any, method string, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.catch(method, &err)
	return handler(ctx, req)
}

func (s *Server) callStream(srv any, ss grpc.ServerStream, method string, handler grpc.StreamHandler) (err error) {
	defer s.catch(method, &err)
	return handler(srv, ss)
}

// catch turns a panic into an error of its call, and leaves the process to the
// others. It is to be deferred.
func (s *Server) catch(method string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic in a gRPC handler", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error: the sidecar's log has the details")
	}
}

// status logs and counts an error, and returns it as the status the client
// gets. A status, which is an app's or grpc-go's own, passes as it is.
func (s *Server) status(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	var e *apierror.Error
	if !errors.As(err, &e) {
		if _, ok := status.FromError(err); ok {
			return err
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return status.FromContextError(err).Err()
		}
		e = apierror.From(err)
	}
	s.errors.Count(operation(method).Group, e.Code)

	// As on the HTTP face: a caller's mistake is the caller's to see, a failure
	// of ours is for the operator unless the caller has left.
	level := slog.LevelDebug
	if e.HTTP >= http.StatusInternalServerError && ctx.Err() == nil {
		level = slog.LevelWarn
	}
	if s.log.Enabled(ctx, level) {
		s.log.Log(ctx, level, "API call failed", "method", method, "status", e.GRPC.String(), "code", e.Code, "error", err)
	}
	if e.GRPC == codes.OK {
		return status.Error(codes.Internal, e.Message)
	}
	return e.GRPCStatus().Err()
}

func (s *Server) logCall(ctx context.Context, method string, err error, start time.Time) {
	if s.apiLog == nil {
		return
	}
	agent := ""
	if agents := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(agents) > 0 {
		agent = agents[0]
	}
	s.apiLog.LogAttrs(ctx, slog.LevelInfo, "gRPC API Called",
		slog.String("method", method),
		slog.String("code", status.Code(err).String()),
		slog.Int64("duration", time.Since(start).Milliseconds()),
		slog.String("useragent", agent),
	)
}
