package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// grpcApp is an app that serves the protocol's AppCallback service.
type grpcApp struct {
	conn    *grpc.ClientConn
	address string
	token   string
	maxBody int
}

// window is the flow-control window of a stream, in bytes: large enough that a
// body on the loopback interface is never held up by it.
const window = 1 << 20

func newGRPCApp(o Options, address string) (*grpcApp, error) {
	creds := insecure.NewCredentials()
	if o.Protocol.secure() {
		// As for HTTPS: between the app and its own sidecar any certificate will do.
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return dial(ctx, "tcp", a) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(o.MaxBodySize), grpc.MaxCallSendMsgSize(o.MaxBodySize)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		// A restarted app is back within the second; see also ready.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second}, MinConnectTimeout: dialTimeout}),
		grpc.WithIdleTimeout(0),
	)
	if err != nil {
		return nil, fmt.Errorf("app channel to %s: %w", address, err)
	}
	return &grpcApp{conn: conn, address: address, token: o.Token, maxBody: o.MaxBodySize}, nil
}

func (a *grpcApp) close() error { return a.conn.Close() }

func (a *grpcApp) invoke(ctx context.Context, req *Request) (*Response, error) {
	msg, err := a.message(req)
	if err != nil {
		return nil, err
	}
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	md := ToMetadata(req.Header)
	a.authorize(md)
	ctx = metadata.NewOutgoingContext(ctx, md)
	var header, trailer metadata.MD
	out, err := runtimev1.NewAppCallbackClient(a.conn).OnInvoke(ctx, msg, grpc.Header(&header), grpc.Trailer(&trailer))
	resp := &Response{Header: FromMetadata(header), Trailer: FromMetadata(trailer)}
	if err != nil {
		// Only the app's own answer comes with metadata, at least its content type.
		s, ok := status.FromError(err)
		if !ok || len(header)+len(trailer) == 0 {
			if s.Code() == codes.Unavailable && !listening(ctx, a.address) {
				err = ErrNotListening
			}
			return nil, err
		}
		resp.Status, resp.Message, resp.Details = int(s.Code()), s.Message(), s.Proto().GetDetails()
		return resp, nil
	}
	resp.Data, resp.DataType = out.GetData().GetValue(), out.GetData().GetTypeUrl()
	if out.GetContentType() != "" {
		resp.Header.Set("Content-Type", out.GetContentType())
	}
	return resp, nil
}

// message needs the whole body: OnInvoke is not a stream.
func (a *grpcApp) message(req *Request) (*commonv1.InvokeRequest, error) {
	data := req.Data
	if req.Body != nil {
		var err error
		if data, err = io.ReadAll(io.LimitReader(req.Reader(), int64(a.maxBody)+1)); err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
		if len(data) > a.maxBody {
			return nil, status.Errorf(codes.ResourceExhausted, "the request's body is over %d bytes, the most that fits in one message to a gRPC app: raise --max-body-size", a.maxBody)
		}
	}
	return &commonv1.InvokeRequest{
		Method:        req.Path,
		Data:          &anypb.Any{TypeUrl: req.DataType, Value: data},
		ContentType:   req.Header.Get("Content-Type"),
		HttpExtension: Extension(req.Verb, req.Query),
	}, nil
}

// Extension is the HTTP part of an invocation; nil when there is none.
func Extension(verb, query string) *commonv1.HTTPExtension {
	if verb == "" && query == "" {
		return nil
	}
	return &commonv1.HTTPExtension{
		Verb:        commonv1.HTTPExtension_Verb(commonv1.HTTPExtension_Verb_value[strings.ToUpper(verb)]),
		Querystring: query,
	}
}

// Verb is the HTTP method of an invocation; empty when it has none.
func Verb(ext *commonv1.HTTPExtension) string {
	if ext.GetVerb() == commonv1.HTTPExtension_NONE {
		return ""
	}
	return ext.GetVerb().String()
}

func (a *grpcApp) authorize(md metadata.MD) {
	if a.token != "" {
		md.Set(tokenHeader, a.token)
	}
}

// ready waits for a connection that is in its backoff although the app is back:
// nobody should have to wait for a timer, or restart the sidecar. When it still
// is not connected after a second, the call itself tells why.
func (a *grpcApp) ready(ctx context.Context) error {
	state := a.conn.GetState()
	if state == connectivity.Ready {
		return nil
	}
	if !listening(ctx, a.address) {
		return ErrNotListening
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	a.conn.ResetConnectBackoff()
	a.conn.Connect()
	for state != connectivity.Ready && a.conn.WaitForStateChange(ctx, state) {
		state = a.conn.GetState()
	}
	return nil
}

// probe is one health check.
func (a *grpcApp) probe(ctx context.Context) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	md := metadata.MD{}
	a.authorize(md)
	ctx = metadata.NewOutgoingContext(ctx, md)
	_, err := runtimev1.NewAppCallbackHealthCheckClient(a.conn).HealthCheck(ctx, &emptypb.Empty{})
	return err
}
