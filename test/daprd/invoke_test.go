package daprd

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// pair starts the sidecar of an app and one that calls it.
func pair(t *testing.T, appArgs ...string) (caller, callee *sidecar) {
	t.Helper()
	home := t.TempDir()
	callee = start(t, "callee", given{home: home, args: appArgs})
	callee.waitFor("/v1.0/healthz")
	return start(t, "caller", given{home: home}), callee
}

func TestAppsOfEveryProtocol(t *testing.T) {
	t.Parallel()
	secure := tlsServer(t, echo)
	h2c := &http.Server{Handler: http.HandlerFunc(echo), Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go h2c.Serve(l)
	t.Cleanup(func() { _ = h2c.Close() })
	tlsCreds := credentials.NewServerTLSFromCert(&secure.TLS.Certificates[0])

	for protocol, port := range map[string]string{
		"http": httpApp(t, echo), "https": portOf(secure.URL), "h2c": portOf(l.Addr().String()),
		"grpc": grpcApp(t, &callbacks{}), "grpcs": grpcApp(t, &callbacks{}, grpc.Creds(tlsCreds)),
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			caller, callee := pair(t, "--app-protocol", protocol, "--app-port", port)
			for _, from := range []*sidecar{caller, callee} {
				for _, f := range []face{httpFace{s: from}, grpcFace{s: from}} {
					r, err := f.invoke("callee", invocation{
						verb: "PUT", method: "orders/7", query: "a=1", body: "hello", contentType: "text/plain", header: map[string]string{"x-in": "in"},
					})
					require.NoError(t, err)
					require.Equal(t, reply{body: "PUT /orders/7?a=1 hello", contentType: "text/plain", header: map[string]string{"X-Out": "in"}}, r, f.name())
				}
			}
		})
	}
}

// tlsServer runs an HTTPS server with a certificate that nobody vouches for.
func tlsServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestWhatAnHTTPAppSeesOfACall(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "uri": r.URL.Path + "?" + r.URL.RawQuery, "header": r.Header, "length": r.ContentLength})
	}))
	type seen struct {
		Method, URI string
		Header      http.Header
		Length      int
	}
	call := func(s *sidecar, method, path string, headers ...string) seen {
		t.Helper()
		a := s.call(method, path, "", headers...)
		require.Equal(t, http.StatusOK, a.status, a.body)
		var got seen
		require.NoError(t, json.Unmarshal([]byte(a.body), &got))
		return got
	}
	authorization := "Authorization: Basic ZGFwci1hcHAtaWQ6Y2FsbGVl" // dapr-app-id:callee
	for _, c := range []struct {
		name, path string
		headers    []string
		want       string
	}{
		{"path", "/v1.0/invoke/callee/method/a/b?c=d&c=e", nil, "/a/b?c=d&c=e"},
		{"no method", "/v1.0/invoke/callee/method/", nil, "/?"},
		{"app and namespace", "/v1.0/invoke/callee.default/method/a", nil, "/a?"},
		{"header", "/any/path?x=y", []string{"dapr-app-id: callee"}, "/any/path?x=y"},
		{"header over path", "/v1.0/invoke/nobody/method/a", []string{"dapr-app-id: callee"}, "/v1.0/invoke/nobody/method/a?"},
		{"basic authentication", "/a", []string{authorization}, "/a?"},
		{"escaped", "/v1.0/invoke/callee/method/a%20b%2Fc", nil, "/a b/c?"},
		{"climbing", "/v1.0/invoke/callee/method/a/../../../b", nil, "/b?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, call(caller, http.MethodGet, c.path, c.headers...).URI)
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		require.Equal(t, method, call(caller, method, "/v1.0/invoke/callee/method/a").Method)
	}
	require.Equal(t, http.StatusOK, caller.call(http.MethodHead, "/v1.0/invoke/callee/method/a", "").status)

	got := call(caller, http.MethodGet, "/a", "dapr-app-id: callee", "X-Mine: 1", "dapr-mine: 2", "Connection: X-Hop", "X-Hop: 3", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").Header
	require.Equal(t, "caller", got.Get("dapr-caller-app-id"))
	require.Equal(t, "callee", got.Get("dapr-callee-app-id"))
	require.Equal(t, "1", got.Get("x-mine"))
	require.Equal(t, "2", got.Get("dapr-mine"))
	require.Empty(t, got.Get("x-hop"))
	require.Empty(t, got.Get("dapr-app-id"))
	require.NotEmpty(t, got.Get("x-forwarded-for"))
	require.NotEmpty(t, got.Get("x-forwarded-host"))
	require.Contains(t, got.Get("forwarded"), "for=")
	require.Contains(t, got.Get("traceparent"), "0af7651916cd43dd8448eb211c80319c")
	require.Equal(t, "callee", call(callee, http.MethodGet, "/a", "dapr-app-id: callee").Header.Get("dapr-caller-app-id"), "an app can call itself")
}

func TestTargetsThatAreNone(t *testing.T) {
	t.Parallel()
	s := start(t, "a", given{})
	for _, c := range []struct {
		path   string
		status int
		text   string
	}{
		{"/v1.0/nonsense", http.StatusNotFound, "failed getting app id either from the URL path or the header dapr-app-id"},
		{"/v1.0/invoke/a.b.c/method/x", http.StatusInternalServerError, "more than one dot"},
		{"/v1.0/invoke/a/method/x%3Fy", http.StatusInternalServerError, "has the character '?'"},
		{"/v1.0/invoke/nobody/method/x", http.StatusInternalServerError, "failed to invoke, id: nobody, err: "},
	} {
		a := s.call(http.MethodGet, c.path, "")
		require.Equal(t, c.status, a.status, c.path)
		require.Contains(t, a.body, `"errorCode":"ERR_DIRECT_INVOKE"`)
		require.Contains(t, a.body, c.text)
	}
}

// Bodies of every size and of unknown length, both ways, byte by byte.
func TestBodiesPassUnchanged(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		half := len(body) / 2
		_, _ = w.Write(body[:half])
		_ = http.NewResponseController(w).Flush() // from here on its length is not known
		_, _ = w.Write(body[half:])
	}))
	for _, s := range []*sidecar{caller, callee} {
		for _, size := range []int{0, 1, 2 << 10, 32 << 10, 32<<10 + 1, 1 << 20, 3 << 20} {
			body := make([]byte, size)
			_, _ = rand.Read(body)
			for _, announced := range []bool{true, false} {
				var reader io.Reader = strings.NewReader(string(body))
				if !announced {
					reader = struct{ io.Reader }{reader}
				}
				res, err := s.client.Post(s.base+"/v1.0/invoke/callee/method/x", "application/octet-stream", reader)
				require.NoError(t, err)
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, res.StatusCode)
				require.Equal(t, digest(body), digest(got), "%d bytes", size)
			}
		}
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Each piece of a request arrives while the next one is not written yet, and
// each piece of the response too.
func TestBodiesStreamBothWays(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "got %s\n", lines.Text())
			_ = control.Flush()
		}
	}))
	for _, s := range []*sidecar{callee, caller} {
		in, out := io.Pipe()
		req, err := http.NewRequest(http.MethodPost, s.base+"/v1.0/invoke/callee/method/talk", in)
		require.NoError(t, err)
		go fmt.Fprintln(out, "first") // before the response's header there must be something to answer to
		res, err := s.client.Do(req)
		require.NoError(t, err)
		answers := bufio.NewReader(res.Body)
		for _, word := range []string{"first", "second", "third"} {
			if word != "first" {
				fmt.Fprintln(out, word)
			}
			line, err := answers.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "got "+word+"\n", line)
		}
		require.NoError(t, out.Close())
		_, err = answers.ReadString('\n')
		require.ErrorIs(t, err, io.EOF)
		res.Body.Close()
	}
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	gone := make(chan struct{}, 2)
	caller, callee := pair(t, "--app-port", httpApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		for n := 0; ; n++ {
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", n, r.Header.Get("Accept"))
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				gone <- struct{}{}
				return
			}
		}
	}))
	for _, s := range []*sidecar{callee, caller} {
		req, err := http.NewRequest(http.MethodGet, s.base+"/v1.0/invoke/callee/method/events", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		res, err := s.client.Do(req)
		require.NoError(t, err)
		require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", res.Header.Get("Cache-Control"))
		events := bufio.NewReader(res.Body)
		for n := range 3 {
			if n > 0 {
				next <- struct{}{}
			}
			for _, want := range []string{fmt.Sprintf("id: %d\n", n), "data: text/event-stream\n", "\n"} {
				line, err := events.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, want, line)
			}
		}
		res.Body.Close()
		<-gone // the app sees that the listener has left
	}
}

// An answer that breaks off must not look whole.
func TestAResponseThatBreaksOff(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "--app-port", httpApp(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 100<<10))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	for _, s := range []*sidecar{callee, caller} {
		res, err := s.client.Get(s.base + "/v1.0/invoke/callee/method/x")
		require.NoError(t, err)
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		require.Error(t, err)
	}
}

func TestGRPCProxying(t *testing.T) {
	t.Parallel()
	app := &callbacks{}
	caller, callee := pair(t, "--app-protocol", "grpc", "--app-port", grpcApp(t, app, grpc.MaxRecvMsgSize(8<<20)), "--max-body-size", "8Mi")
	for _, s := range []*sidecar{callee, caller} {
		client := testgrpc.NewTestServiceClient(s.conn)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "callee", "x-mine", "1", "x-mine-bin", "\x00\x01\xff")

		var header, trailer metadata.MD
		body := []byte(strings.Repeat("payload", 100_000))
		res, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: body}}, grpc.Header(&header), grpc.Trailer(&trailer))
		require.NoError(t, err)
		require.Equal(t, digest(body), digest(res.GetPayload().GetBody()))
		require.Equal(t, []string{"h"}, header.Get("x-header"))
		require.Equal(t, []string{"\x00\xff"}, header.Get("x-data-bin"))
		require.Equal(t, []string{"t"}, trailer.Get("x-trailer"))
		seen := *app.seen.Load()
		require.Equal(t, []string{"1"}, seen.Get("x-mine"))
		require.Equal(t, []string{"\x00\x01\xff"}, seen.Get("x-mine-bin"))
		require.Equal(t, []string{s.id}, seen.Get("dapr-caller-app-id"))

		stream, err := client.FullDuplexCall(ctx)
		require.NoError(t, err)
		for n := range 50 {
			body := fmt.Appendf(nil, "message %d", n)
			require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: body}}))
			out, err := stream.Recv()
			require.NoError(t, err)
			require.Equal(t, body, out.GetPayload().GetBody())
		}
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		require.ErrorIs(t, err, io.EOF)

		_, err = client.EmptyCall(ctx, &testgrpc.Empty{})
		require.Equal(t, codes.Unimplemented, status.Code(err), "the app's own answer")
		_, err = client.UnaryCall(metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "nobody"), &testgrpc.SimpleRequest{})
		require.Error(t, err)
		require.Contains(t, err.Error(), "nobody")
		_, err = client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		require.Equal(t, codes.Unimplemented, status.Code(err))
		require.Contains(t, err.Error(), "dapr-app-id")
	}
}

// A message above gRPC's own limit passes when the flag says so.
func TestLargeGRPCMessagesPassBetweenSidecars(t *testing.T) {
	t.Parallel()
	home, large := t.TempDir(), []string{"--max-body-size", "8Mi"}
	app := grpcApp(t, &callbacks{}, grpc.MaxRecvMsgSize(8<<20), grpc.MaxSendMsgSize(8<<20))
	start(t, "callee", given{home: home, args: append([]string{"--app-protocol", "grpc", "--app-port", app}, large...)})
	caller := start(t, "caller", given{home: home, args: large})
	body := []byte(strings.Repeat("x", 6<<20))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "dapr-app-id", "callee")
	res, err := testgrpc.NewTestServiceClient(caller.conn).UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: body}}, grpc.MaxCallRecvMsgSize(8<<20))
	require.NoError(t, err)
	require.Len(t, res.GetPayload().GetBody(), len(body))

	a := caller.call(http.MethodPost, "/v1.0/invoke/callee/method/x", string(body))
	require.Equal(t, http.StatusOK, a.status)
	require.Greater(t, len(a.body), len(body))
}

func TestHTTPEndpointsAndWholeURLs(t *testing.T) {
	t.Parallel()
	var seen http.Header
	outside := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		echo(w, r)
	})
	plain := "http://127.0.0.1:" + httpApp(t, echo)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outside.Certificate().Raw})
	vault := filepath.Join(t.TempDir(), "vault.json")
	secrets, err := json.Marshal(map[string]string{"ca": string(ca), "key": "very-secret"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(vault, secrets, 0o600))
	s := start(t, "a", given{resources: component("vault", "secretstores.local.file", "secretsFile="+vault) + `---
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata:
  name: shop
spec:
  baseUrl: ` + outside.URL + `/base
  headers:
  - name: X-Key
    secretKeyRef: {name: key}
  - name: X-Plain
    value: seen
  clientTLS:
    rootCA:
      secretKeyRef: {name: ca}
auth:
  secretStore: vault
`})
	a := s.call(http.MethodPost, "/v1.0/invoke/shop/method/orders/7?a=b", "hello", "X-In: in", "Content-Type: text/plain")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "POST /base/orders/7?a=b hello", a.body)
	require.Equal(t, "in", a.header.Get("X-Out"))
	require.Equal(t, "very-secret", seen.Get("X-Key"))
	require.Equal(t, "seen", seen.Get("X-Plain"))
	require.Equal(t, http.StatusTeapot, s.call(http.MethodGet, "/v1.0/invoke/"+url.PathEscape(plain)+"/method/status/418", "").status)
	require.Contains(t, s.call(http.MethodGet, "/v1.0/metadata", "").body, `"httpEndpoints":[{"name":"shop"}]`)
	require.NotContains(t, s.log.String(), "very-secret")

	for _, path := range []string{
		"/v1.0/invoke/" + plain + "/method/a?b=c",
		"/v1.0/invoke/" + url.PathEscape(plain) + "/method/a?b=c",
	} {
		require.Equal(t, "GET /a?b=c ", s.call(http.MethodGet, path, "").body, path)
	}
	require.Equal(t, "GET /a?b=c ", s.call(http.MethodGet, "/a?b=c", "", "dapr-app-id: "+plain).body)
	a = s.call(http.MethodGet, "/v1.0/invoke/"+url.PathEscape(outside.URL)+"/method/a", "")
	require.Equal(t, http.StatusInternalServerError, a.status, "nobody vouches for that certificate")
	require.Contains(t, a.body, "certificate")
}
