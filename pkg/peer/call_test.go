package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	internalsv1 "github.com/dapr/dapr/pkg/proto/internals/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hyperdapr/dapr/pkg/app"
)

func serve(t *testing.T, register func(grpc.ServiceRegistrar), o ...grpc.ServerOption) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(o...)
	register(s)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return Target{Address: l.Addr().String(), AppID: "callee"}
}

func client(t *testing.T) *Client {
	t.Helper()
	c := NewClient(ClientOptions{})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

type handler func(context.Context, *app.Request) (*app.Response, error)

func (h handler) ServeInvoke(ctx context.Context, r *app.Request) (*app.Response, error) {
	return h(ctx, r)
}

func serveHandler(t *testing.T, h handler) Target {
	t.Helper()
	return serve(t, func(s grpc.ServiceRegistrar) { Register(s, h) }, ServerOptions()...)
}

func request(t *testing.T, verb string, body io.Reader, n int64) *app.Request {
	t.Helper()
	r := &app.Request{Verb: verb, Path: "m", Header: http.Header{}}
	require.NoError(t, r.SetBody(body, n))
	return r
}

func read(t *testing.T, r *app.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Reader())
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "twice is fine")
	return string(data)
}

// generated is a sidecar made of the generated types; it keeps what it receives
// and answers with what it is given.
type generated struct {
	internalsv1.UnimplementedServiceInvocationServer
	answers []*internalsv1.InternalInvokeResponseStream

	mu       sync.Mutex
	received []*internalsv1.InternalInvokeRequestStream
	md       metadata.MD
}

func (g *generated) CallLocalStream(stream internalsv1.ServiceInvocation_CallLocalStreamServer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.md, _ = metadata.FromIncomingContext(stream.Context())
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		g.received = append(g.received, m)
	}
	for _, a := range g.answers {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

func head(status int32, header ...string) *internalsv1.InternalInvokeResponse {
	r := &internalsv1.InternalInvokeResponse{Status: &internalsv1.Status{Code: status}, Headers: map[string]*internalsv1.ListStringValue{}}
	for i := 0; i < len(header); i += 2 {
		r.Headers[header[i]] = list(header[i+1])
	}
	return r
}

// What goes out and comes in, message by message.
func TestClientOnTheWire(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 5000) // 80 000 bytes
	type answer = internalsv1.InternalInvokeResponseStream
	for _, tt := range []struct {
		name       string
		body       io.Reader
		n          int64
		chunks     []string // payloads of the request, by message; "" is no payload
		answers    []*answer
		wantStatus int
		wantBody   string
	}{
		{
			"nothing both ways", nil, 0, []string{""},
			[]*answer{{Response: head(204)}}, 204, "",
		},
		{
			"small bodies are one message each way", strings.NewReader("ping"), 4, []string{"ping"},
			[]*answer{{Response: head(200, "content-length", "4"), Payload: payload(0, "pong")}}, 200, "pong",
		},
		{
			"a large body is cut into chunks", strings.NewReader(large), int64(len(large)), []string{"", large[:32<<10], large[32<<10 : 64<<10], large[64<<10:]},
			[]*answer{{Response: head(200)}, {Payload: payload(0, "a")}, {Payload: payload(1, "b")}}, 200, "ab",
		},
		{
			"a body of unknown length is streamed", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")), -1, []string{"", "a", "b"},
			[]*answer{{Response: head(500), Payload: payload(0, "a")}, {Payload: payload(1, "b")}}, 500, "ab",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &generated{answers: tt.answers}
			to := serve(t, func(s grpc.ServiceRegistrar) { internalsv1.RegisterServiceInvocationServer(s, g) })
			req := request(t, "POST", tt.body, tt.n)
			req.Header.Set("Traceparent", "00-0123-45-01")
			resp, err := client(t).Invoke(t.Context(), to, req)
			require.NoError(t, err)
			require.Equal(t, tt.wantStatus, resp.Status)
			require.Equal(t, tt.wantBody, read(t, resp))

			g.mu.Lock()
			defer g.mu.Unlock()
			require.Equal(t, []string{"00-0123-45-01"}, g.md.Get("traceparent"))
			require.Len(t, g.received, len(tt.chunks))
			seq := uint64(0)
			for i, m := range g.received {
				require.Equal(t, i == 0, m.GetRequest() != nil, "only the first message has the request")
				if i == 0 {
					require.Equal(t, internalsv1.APIVersion_V1, m.GetRequest().GetVer())
					require.Equal(t, "m", m.GetRequest().GetMessage().GetMethod())
					require.Nil(t, m.GetRequest().GetMessage().GetData())
				}
				if tt.chunks[i] == "" {
					require.Nil(t, m.GetPayload())
					continue
				}
				require.Equal(t, tt.chunks[i], string(m.GetPayload().GetData()))
				require.Equal(t, seq, m.GetPayload().GetSeq())
				seq++
			}
		})
	}
}

func TestServerOnTheWire(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 5000)
	var got *app.Request
	var gotBody string
	var answer *app.Response
	to := serveHandler(t, func(_ context.Context, r *app.Request) (*app.Response, error) {
		data, err := io.ReadAll(r.Reader())
		got, gotBody = r, string(data)
		return answer, err
	})
	conn, err := grpc.NewClient(to.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()

	type message = internalsv1.InternalInvokeRequestStream
	first := func(verb commonv1.HTTPExtension_Verb, length string) *internalsv1.InternalInvokeRequest {
		r := &internalsv1.InternalInvokeRequest{Message: &commonv1.InvokeRequest{Method: "m", HttpExtension: &commonv1.HTTPExtension{Verb: verb}}}
		if length != "" {
			r.Metadata = map[string]*internalsv1.ListStringValue{"content-length": list(length)}
		}
		return r
	}
	for _, tt := range []struct {
		name       string
		send       []*message
		wantBody   string
		wantLength int64
		answer     *app.Response
		chunks     []string
		err        string
	}{
		{
			"one message each way", []*message{{Request: first(3, "2"), Payload: payload(0, "hi")}}, "hi", 2,
			&app.Response{Status: 200, Header: http.Header{}, Data: []byte("ok")}, []string{"ok"}, "",
		},
		{
			"a GET without a body", []*message{{Request: first(1, "")}}, "", 0,
			&app.Response{Status: 204, Header: http.Header{}}, []string{""}, "",
		},
		{
			"a GET with a body of unknown length", []*message{{Request: first(1, "")}, {Payload: payload(0, "hi")}}, "hi", -1,
			&app.Response{Status: 204, Header: http.Header{}}, []string{""}, "",
		},
		{
			"small chunks of known length", []*message{{Request: first(3, "3"), Payload: payload(0, "a")}, {Payload: payload(1, "b")}, {Payload: payload(2, "c")}}, "abc", 3,
			&app.Response{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(large))}, []string{"", large[:32<<10], large[32<<10 : 64<<10], large[64<<10:]}, "",
		},
		{
			"chunks of unknown length", []*message{{Request: first(3, "")}, {Payload: payload(0, "a")}, {Payload: payload(1, "b")}}, "ab", -1,
			&app.Response{Status: 200, Header: http.Header{}, Data: []byte("x"), Body: io.NopCloser(strings.NewReader("y"))}, []string{"x", "y"}, "",
		},
		{"no message", nil, "", 0, nil, nil, "no messages"},
		{"no metadata", []*message{{Payload: payload(0, "a")}}, "", 0, nil, nil, "no metadata"},
		{"metadata twice", []*message{{Request: first(3, "")}, {Request: first(3, ""), Payload: payload(0, "a")}}, "", 0, nil, nil, "in the middle of the stream has metadata"},
		{"a chunk without payload", []*message{{Request: first(3, "")}, {}}, "", 0, nil, nil, "has no payload"},
		{"a gap", []*message{{Request: first(3, ""), Payload: payload(0, "a")}, {Payload: payload(2, "b")}}, "", 0, nil, nil, "a gap: expected payload 1, got 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer = tt.answer
			stream, err := internalsv1.NewServiceInvocationClient(conn).CallLocalStream(t.Context())
			require.NoError(t, err)
			for _, m := range tt.send {
				require.NoError(t, stream.Send(m))
			}
			require.NoError(t, stream.CloseSend())
			var seq uint64
			for i := 0; ; i++ {
				m, err := stream.Recv()
				if tt.err != "" {
					require.Equal(t, codes.InvalidArgument, status.Code(err))
					require.ErrorContains(t, err, tt.err)
					return
				}
				if errors.Is(err, io.EOF) {
					require.Equal(t, len(tt.chunks), i)
					break
				}
				require.NoError(t, err)
				require.Equal(t, i == 0, m.GetResponse() != nil)
				if i == 0 {
					require.Equal(t, int32(tt.answer.Status), m.GetResponse().GetStatus().GetCode())
				}
				if tt.chunks[i] == "" {
					require.Nil(t, m.GetPayload())
					continue
				}
				require.Equal(t, tt.chunks[i], string(m.GetPayload().GetData()))
				require.Equal(t, seq, m.GetPayload().GetSeq())
				seq++
			}
			require.Equal(t, "m", got.Path)
			require.Equal(t, tt.wantLength, got.ContentLength)
			require.Equal(t, tt.wantBody, gotBody)
		})
	}
}

// unaryOnly is a sidecar from before there were streams.
type unaryOnly struct {
	internalsv1.UnimplementedServiceInvocationServer
}

func (unaryOnly) CallLocal(_ context.Context, in *internalsv1.InternalInvokeRequest) (*internalsv1.InternalInvokeResponse, error) {
	r := head(201, "X-Method", in.GetMessage().GetMethod())
	r.Message = &commonv1.InvokeResponse{Data: &anypb.Any{Value: in.GetMessage().GetData().GetValue()}, ContentType: in.GetMessage().GetContentType()}
	return r, nil
}

func TestUnaryFallback(t *testing.T) {
	to := serve(t, func(s grpc.ServiceRegistrar) { internalsv1.RegisterServiceInvocationServer(s, unaryOnly{}) })
	c := client(t)
	req := request(t, "POST", strings.NewReader("hello"), 5)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := c.Invoke(t.Context(), to, req)
	require.NoError(t, err)
	require.Equal(t, 201, resp.Status)
	require.Equal(t, "m", resp.Header.Get("X-Method"))
	require.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
	require.Equal(t, "hello", read(t, resp))

	_, err = c.Invoke(t.Context(), to, request(t, "POST", strings.NewReader("hello"), -1))
	require.Equal(t, codes.Unimplemented, status.Code(err), "a body that is read cannot be sent again")
}

func TestUnaryServer(t *testing.T) {
	to := serveHandler(t, func(_ context.Context, r *app.Request) (*app.Response, error) {
		return &app.Response{Status: 200, Header: http.Header{"X-Verb": {r.Verb}}, Data: r.Data, Body: io.NopCloser(strings.NewReader("!"))}, nil
	})
	conn, err := grpc.NewClient(to.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	sidecar := internalsv1.NewServiceInvocationClient(conn)
	resp, err := sidecar.CallLocal(t.Context(), internalsv1.NewInternalInvokeRequest("m").WithHTTPExtension("PUT", "").WithData([]byte("hi")))
	require.NoError(t, err)
	require.Equal(t, int32(200), resp.GetStatus().GetCode())
	require.Equal(t, []string{"PUT"}, resp.GetHeaders()["X-Verb"].GetValues())
	require.Equal(t, "hi!", string(resp.GetMessage().GetData().GetValue()))

	_, err = sidecar.CallActor(t.Context(), internalsv1.NewInternalInvokeRequest("m"))
	require.Equal(t, codes.Unimplemented, status.Code(err))
}

func TestErrorsKeepTheirStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want codes.Code
	}{
		"a status": {status.Error(codes.PermissionDenied, "no"), codes.PermissionDenied},
		"plain":    {io.ErrUnexpectedEOF, codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			to := serveHandler(t, func(context.Context, *app.Request) (*app.Response, error) { return nil, tt.err })
			_, err := client(t).Invoke(t.Context(), to, request(t, "GET", nil, 0))
			require.Equal(t, tt.want, status.Code(err))
		})
	}
	_, err := client(t).Invoke(t.Context(), Target{Address: "127.0.0.1:1"}, request(t, "GET", nil, 0))
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestResponseThatBreaksOff(t *testing.T) {
	to := serveHandler(t, func(context.Context, *app.Request) (*app.Response, error) {
		return &app.Response{Status: 200, Header: http.Header{}, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))}, nil
	})
	resp, err := client(t).Invoke(t.Context(), to, request(t, "GET", nil, 0))
	require.NoError(t, err)
	data, err := io.ReadAll(resp.Reader())
	require.Equal(t, "half", string(data))
	require.ErrorContains(t, err, "unexpected EOF")
	require.NoError(t, resp.Close())
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A request whose body cannot be read to its end must not look whole.
func TestRequestThatBreaksOff(t *testing.T) {
	seen := make(chan error, 1)
	in, out := io.Pipe()
	to := serveHandler(t, func(_ context.Context, r *app.Request) (*app.Response, error) {
		out.CloseWithError(io.ErrUnexpectedEOF) // now, when the call has arrived
		_, err := io.ReadAll(r.Reader())
		seen <- err
		return nil, err
	})
	_, err := client(t).Invoke(t.Context(), to, request(t, "POST", in, -1))
	require.Error(t, err)
	require.Error(t, <-seen)
}

func TestBothWaysAtOnce(t *testing.T) {
	to := serveHandler(t, func(_ context.Context, r *app.Request) (*app.Response, error) {
		return &app.Response{Status: 200, Header: http.Header{}, Body: io.NopCloser(r.Reader())}, nil
	})
	in, out := io.Pipe()
	resp, err := client(t).Invoke(t.Context(), to, request(t, "POST", in, -1))
	require.NoError(t, err)
	buf := make([]byte, 8)
	for _, word := range []string{"one", "two"} {
		_, err := io.WriteString(out, word)
		require.NoError(t, err)
		n, err := resp.Body.Read(buf)
		require.NoError(t, err)
		require.Equal(t, word, string(buf[:n]))
	}
	require.NoError(t, out.Close())
	require.Empty(t, read(t, resp))
}

func TestClosingAResponseEndsTheCall(t *testing.T) {
	ended := make(chan struct{})
	to := serveHandler(t, func(ctx context.Context, _ *app.Request) (*app.Response, error) {
		context.AfterFunc(ctx, func() { close(ended) })
		body, _ := io.Pipe()
		context.AfterFunc(ctx, func() { body.Close() })
		return &app.Response{Status: 200, Header: http.Header{}, Body: body}, nil
	})
	resp, err := client(t).Invoke(t.Context(), to, request(t, "GET", nil, 0))
	require.NoError(t, err)
	reading := make(chan error, 1)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		reading <- err
	}()
	require.NoError(t, resp.Close())
	require.Error(t, <-reading)
	<-ended
}

func TestPool(t *testing.T) {
	dialled := 0
	p := pool{dial: func(t Target) (*grpc.ClientConn, error) {
		dialled++
		return grpc.NewClient("passthrough:///"+t.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}}
	get := func(address string) *conn {
		c, err := p.get(Target{Address: address})
		require.NoError(t, err)
		return c
	}
	a, busy := get("a"), get("busy")
	require.Same(t, a, get("a"))
	require.Equal(t, 2, dialled)
	a.release()
	a.release()

	long := time.Now().Add(-2 * idleAfter).Unix()
	a.used.Store(long)
	busy.used.Store(long)
	get("c").release()
	require.Len(t, p.conns, 2, "a is swept: it was idle; busy is not")
	require.NotSame(t, a, get("a"))

	p.close()
	_, err := p.get(Target{Address: "a"})
	require.ErrorIs(t, err, errClientClosed)
}
