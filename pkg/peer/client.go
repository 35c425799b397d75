package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/app"
)

// ClientOptions tunes a client. The zero value talks plain text.
type ClientOptions struct {
	// Credentials returns what secures the connection to a sidecar; nil is plain
	// text.
	Credentials func(Target) credentials.TransportCredentials
	// MaxBodySize bounds a body that must travel in one message, in bytes; 4 MiB
	// when 0.
	MaxBodySize int
}

const (
	defaultMaxBodySize = 4 << 20
	// envelope is what a message may be larger than its body: headers.
	envelope = 1 << 20

	streamWindow = 1 << 20
	connWindow   = 8 << 20
	socketBuffer = 64 << 10
)

// Client calls other sidecars. It is safe for concurrent use.
type Client struct {
	pool    pool
	maxBody int
}

// NewClient returns a client without connections: they are made when needed and
// dropped when idle.
func NewClient(o ClientOptions) *Client {
	if o.MaxBodySize <= 0 {
		o.MaxBodySize = defaultMaxBodySize
	}
	return &Client{maxBody: o.MaxBodySize, pool: pool{dial: func(t Target) (*grpc.ClientConn, error) {
		creds := insecure.NewCredentials()
		if o.Credentials != nil {
			creds = o.Credentials(t)
		}
		return grpc.NewClient(t.Address,
			grpc.WithTransportCredentials(creds),
			grpc.WithDefaultCallOptions(
				grpc.ForceCodecV2(Codec()),
				grpc.MaxCallRecvMsgSize(o.MaxBodySize+envelope), grpc.MaxCallSendMsgSize(o.MaxBodySize+envelope)),
			grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
			grpc.WithReadBufferSize(socketBuffer), grpc.WithWriteBufferSize(socketBuffer),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}, MinConnectTimeout: 5 * time.Second}),
			// A name with several addresses is several replicas.
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(), // policies decide about retries
			grpc.WithIdleTimeout(idleAfter),
			grpc.WithNoProxy(),
		)
	}}}
}

// Close ends all connections and the calls on them.
func (c *Client) Close() error {
	c.pool.close()
	return nil
}

// Forget makes the next call of a sidecar begin with a new connection, and with
// looking up its name anew: gRPC's own look-ups are half a minute apart, in which
// a replaced pod has long had another address.
func (c *Client) Forget(t Target) { c.pool.drop(t) }

// Conn returns a connection to a sidecar, for calls that are passed on as they
// are. Call release when such a call is over.
func (c *Client) Conn(t Target) (conn *grpc.ClientConn, release func(), err error) {
	shared, err := c.pool.get(t)
	if err != nil {
		return nil, nil, err
	}
	return shared.ClientConn, shared.release, nil
}

var (
	// A request in one message ends the stream with it; that is the same on the
	// wire, with a frame less.
	oneMessage = &grpc.StreamDesc{StreamName: "CallLocalStream", ServerStreams: true}
	manyChunks = &grpc.StreamDesc{StreamName: "CallLocalStream", ServerStreams: true, ClientStreams: true}
)

// Invoke calls the app behind a sidecar. A request with a Body is sent once at
// most; the Body is read by another goroutine until the response is closed. An
// error is a gRPC status, of the other sidecar or of the way there.
func (c *Client) Invoke(ctx context.Context, t Target, req *app.Request) (*app.Response, error) {
	if err := checkVerb(req.Verb); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	validUTF8(req.Header)
	if req.Replayable() && (len(req.Data) > 0 || !bodiless(req.Verb)) {
		setContentLength(req.Header, len(req.Data)) // tells that nothing follows
	}
	conn, err := c.pool.get(t)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	resp, err := c.stream(ctx, conn, req)
	if status.Code(err) == codes.Unimplemented && req.Replayable() {
		resp, err = c.unary(ctx, conn, req)
	}
	if err != nil || resp.Body == nil {
		conn.release()
	}
	return resp, err
}

func (c *Client) stream(ctx context.Context, conn *conn, req *app.Request) (*app.Response, error) {
	ctx, cancel := context.WithCancel(withTrace(ctx, req.Header))
	desc := oneMessage
	if req.Body != nil {
		desc = manyChunks
	}
	stream, err := conn.NewStream(ctx, desc, internalsv1.ServiceInvocation_CallLocalStream_FullMethodName)
	if err != nil {
		cancel()
		return nil, err
	}
	// An error of sending is io.EOF: receiving tells the reason.
	if err := stream.SendMsg(requestFrame(req)); err != nil && !errors.Is(err, io.EOF) {
		cancel()
		return nil, err
	}
	if req.Body != nil {
		go func() {
			if err := send(stream, firstSeq(req.Data), req.Body); err != nil && !errors.Is(err, io.EOF) {
				cancel() // the request is not whole: nobody may take it for that
				return
			}
			_ = stream.CloseSend() // never fails
		}()
	}
	b := &body{stream: stream}
	resp, err := b.first()
	if err != nil {
		cancel()
		return nil, err
	}
	if complete(req.Verb, resp) {
		err := b.next() // what is left is the end of the stream
		cancel()
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		return resp, nil
	}
	b.stop = func() { cancel(); conn.release() }
	resp.Body = b
	return resp, nil
}

func firstSeq(data []byte) uint64 {
	if len(data) > 0 {
		return 1
	}
	return 0
}

// first receives the first message of a response.
func (b *body) first() (*app.Response, error) {
	defer b.frame.free()
	if err := b.seq.receive(b.stream, &b.frame, true); err != nil {
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.Internal, "the other sidecar ended the call without an answer")
		}
		return nil, err
	}
	resp, err := parseResponse(b.frame.head)
	if err != nil {
		return nil, status.Error(codes.Internal, fmt.Sprintf("response of the other sidecar: %v", err))
	}
	if b.frame.hasPayload {
		resp.Data = b.frame.keep()
	}
	return resp, nil
}

// complete tells whether nothing but the stream's end can follow.
func complete(verb string, resp *app.Response) bool {
	if verb == http.MethodHead || resp.Status == http.StatusNoContent || resp.Status == http.StatusNotModified {
		return true
	}
	n, known := contentLength(resp.Header)
	return known && n == int64(len(resp.Data))
}

// contentLength reads the length that a header announces.
func contentLength(h http.Header) (n int64, known bool) {
	n, err := strconv.ParseInt(get(h, lengthHeader), 10, 64)
	return n, err == nil && n >= 0
}

func setContentLength(h http.Header, n int) { h[lengthHeader] = []string{strconv.Itoa(n)} }

const lengthHeader = "Content-Length"

func get(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// bodiless are the methods whose requests have no body as a rule.
func bodiless(verb string) bool {
	switch verb {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return true
	}
	return false
}

// unary is the call of a sidecar that does not know streams.
func (c *Client) unary(ctx context.Context, conn *conn, req *app.Request) (*app.Response, error) {
	b := newBuffer(sizeRequest(req, req.Data))
	*b = appendRequest(*b, req, req.Data)
	var in unary
	err := conn.Invoke(withTrace(ctx, req.Header), internalsv1.ServiceInvocation_CallLocal_FullMethodName, &unary{encoded: pooled(b)}, &in)
	if err != nil {
		return nil, err
	}
	resp, err := parseResponse(in.received)
	if err != nil {
		return nil, status.Error(codes.Internal, fmt.Sprintf("response of the other sidecar: %v", err))
	}
	return resp, nil
}

// withTrace repeats the trace context where the other sidecar's gRPC server
// looks for it.
func withTrace(ctx context.Context, h http.Header) context.Context {
	parent := get(h, "Traceparent")
	if parent == "" {
		return ctx
	}
	pairs := []string{"traceparent", parent}
	if state := get(h, "Tracestate"); state != "" {
		pairs = append(pairs, "tracestate", state)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
