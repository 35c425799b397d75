package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/app"
)

// ServerOptions are what a gRPC server needs to serve calls between sidecars
// well: the codec, buffers that do not hold up a body, and goroutines that stay,
// with stacks that have grown already.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(Codec()),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(socketBuffer), grpc.WriteBufferSize(socketBuffer),
		grpc.NumStreamWorkers(32),
	}
}

// Register serves calls of other sidecars on s, which was made with
// ServerOptions. What the service has beside service invocation answers
// Unimplemented.
func Register(s grpc.ServiceRegistrar, h Handler) {
	// The generated description, with the generated messages of the two calls
	// replaced by this package's.
	desc := internalsv1.ServiceInvocation_ServiceDesc
	desc.Methods, desc.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range desc.Methods {
		if desc.Methods[i].MethodName == "CallLocal" {
			desc.Methods[i].Handler = callLocal
		}
	}
	for i := range desc.Streams {
		if desc.Streams[i].StreamName == "CallLocalStream" {
			desc.Streams[i].Handler = callLocalStream
		}
	}
	s.RegisterService(&desc, &server{handler: h})
}

type server struct {
	internalsv1.UnimplementedServiceInvocationServer
	handler Handler
}

func callLocalStream(srv any, stream grpc.ServerStream) error {
	// The app's transport may read the body until after this call; the end of
	// the stream ends that too.
	in := &body{stream: stream}
	req, err := in.request()
	if err != nil {
		return err
	}
	resp, err := srv.(*server).handler.ServeInvoke(stream.Context(), req)
	if err != nil {
		return asStatus(err)
	}
	defer resp.Close()
	validUTF8(resp.Header)
	if _, set := resp.Header[lengthHeader]; !set && resp.Body == nil {
		setContentLength(resp.Header, len(resp.Data)) // tells that nothing follows
	}
	if err := stream.SendMsg(responseFrame(resp)); err != nil {
		return err
	}
	if resp.Body == nil {
		return nil
	}
	return asStatus(send(stream, firstSeq(resp.Data), resp.Body))
}

// request receives the first message of a call and tells from it whether more
// will follow.
func (b *body) request() (*app.Request, error) {
	req, err := b.firstRequest()
	if err != nil {
		return nil, err
	}
	n, known := contentLength(req.Header)
	switch {
	case known && n == int64(len(req.Data)):
		req.ContentLength = n
		return req, nil
	case known:
		req.ContentLength = n
	case bodiless(req.Verb):
		// An app would wonder about a GET with a body of unknown length. The end
		// of the stream is most likely here already.
		err := b.next()
		if errors.Is(err, io.EOF) {
			req.ContentLength = int64(len(req.Data))
			return req, nil
		}
		if err != nil {
			return nil, err
		}
		req.ContentLength = -1
	default:
		req.ContentLength = -1
	}
	req.Body = b
	return req, nil
}

func (b *body) firstRequest() (*app.Request, error) {
	defer b.frame.free()
	if err := b.seq.receive(b.stream, &b.frame, true); err != nil {
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.InvalidArgument, "the stream has no messages")
		}
		return nil, err
	}
	req, err := parseRequest(b.frame.head)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("request of the other sidecar: %v", err))
	}
	if b.frame.hasPayload {
		req.Data = b.frame.keep()
	}
	return req, nil
}

func callLocal(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc.MethodHandler
	var in unary
	if err := decode(&in); err != nil {
		return nil, err
	}
	call := func(ctx context.Context, _ any) (any, error) { return srv.(*server).callLocal(ctx, in.received) }
	if intercept == nil {
		return call(ctx, nil)
	}
	return intercept(ctx, &in, &grpc.UnaryServerInfo{Server: srv, FullMethod: internalsv1.ServiceInvocation_CallLocal_FullMethodName}, call)
}

func (s *server) callLocal(ctx context.Context, encoded string) (*unary, error) {
	req, err := parseRequest(encoded)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("request of the other sidecar: %v", err))
	}
	req.ContentLength = int64(len(req.Data))
	resp, err := s.handler.ServeInvoke(ctx, req)
	if err != nil {
		return nil, asStatus(err)
	}
	defer resp.Close()
	data := resp.Data
	if resp.Body != nil {
		if data, err = io.ReadAll(resp.Reader()); err != nil {
			return nil, asStatus(err)
		}
	}
	validUTF8(resp.Header)
	b := newBuffer(sizeResponse(resp, data))
	*b = appendResponse(*b, resp, data)
	return &unary{encoded: pooled(b)}, nil
}

// asStatus keeps the status of an error that has one.
func asStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}
