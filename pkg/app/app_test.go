package app

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func TestParseProtocol(t *testing.T) {
	for in, want := range map[string]Protocol{"": HTTP, "http": HTTP, "https": HTTPS, "h2c": H2C, "grpc": GRPC, "grpcs": GRPCS} {
		got, err := ParseProtocol(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseProtocol("htttp")
	require.ErrorContains(t, err, `"htttp" is not one of http, https, h2c, grpc, grpcs; did you mean http?`)
}

func TestNewRefuses(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "app port 0 is not between 1 and 65535")
	_, err = New(Options{Port: 1, Health: &HealthOptions{Path: "ready"}})
	require.ErrorContains(t, err, `path "ready" does not begin with a slash: use /ready`)
	_, err = New(Options{Port: 1, Health: &HealthOptions{Timeout: 6 * time.Second}})
	require.ErrorContains(t, err, "timeout 6s is not less than the interval 5s")
}

// channelTo returns a channel to the app at an address or URL.
func channelTo(t *testing.T, at string, o Options) *Channel {
	t.Helper()
	if _, rest, ok := strings.Cut(at, "://"); ok {
		at = rest
	}
	host, port, err := net.SplitHostPort(at)
	require.NoError(t, err)
	o.Host = host
	o.Port, err = strconv.Atoi(port)
	require.NoError(t, err)
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func body(t *testing.T, resp *Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Reader())
	require.NoError(t, err)
	require.NoError(t, resp.Close())
	return string(data)
}

func echo(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Got", strings.Join([]string{r.Proto, r.Method, r.RequestURI, r.Header.Get("Dapr-Api-Token"), r.UserAgent(), r.Header.Get("X-In")}, "|"))
	w.Header().Set("Connection", "X-Hop")
	w.Header().Set("X-Hop", "1")
	w.WriteHeader(http.StatusTeapot)
	_, _ = w.Write(data)
}

func TestInvokeHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	h2c := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()
	large := strings.Repeat("0123456789abcdef", 1<<14)

	for _, tt := range []struct {
		protocol Protocol
		url      string
		proto    string
	}{{HTTP, plain.URL, "HTTP/1.1"}, {HTTPS, secure.URL, "HTTP/2.0"}, {H2C, h2c.URL, "HTTP/2.0"}} {
		t.Run(string(tt.protocol), func(t *testing.T) {
			c := channelTo(t, tt.url, Options{Protocol: tt.protocol, Token: "secret"})
			for name, data := range map[string]string{"no body": "", "small body": "hello", "large body": large} {
				t.Run(name, func(t *testing.T) {
					req := &Request{Verb: "POST", Path: "a b/ü", Query: "q=1", Header: http.Header{"X-In": {"yes"}}}
					require.NoError(t, req.SetBody(strings.NewReader(data), int64(len(data))))
					require.Equal(t, len(data) <= SmallBody, req.Replayable())
					resp, err := c.Invoke(t.Context(), req)
					require.NoError(t, err)
					require.Equal(t, http.StatusTeapot, resp.Status)
					require.True(t, resp.IsHTTP())
					require.Equal(t, tt.proto+"|POST|/a%20b/%C3%BC?q=1|secret||yes", resp.Header.Get("X-Got"))
					if tt.protocol == HTTP { // HTTP/2 has no such header
						require.Empty(t, resp.Header.Get("X-Hop"), "hop-by-hop")
					}
					require.Equal(t, data, body(t, resp))
				})
			}
		})
	}
}

func TestInvokeHTTPStreams(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(bytes.ToUpper(buf[:n]))
			_ = control.Flush()
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	in, out := io.Pipe()
	req := &Request{Verb: "POST", Header: http.Header{}}
	require.NoError(t, req.SetBody(in, -1))
	resp, err := channelTo(t, server.URL, Options{}).Invoke(t.Context(), req)
	require.NoError(t, err)
	buf := make([]byte, 16)
	for _, word := range []string{"one", "two"} { // each comes back before the next is sent
		_, err = io.WriteString(out, word)
		require.NoError(t, err)
		n, err := resp.Body.Read(buf)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word), string(buf[:n]))
	}
	require.NoError(t, out.Close())
	_, err = resp.Body.Read(buf)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, resp.Close())
}

func TestAppThatIsNotThereAndComesBack(t *testing.T) {
	address := freeAddress(t)
	c := channelTo(t, address, Options{})
	call := func() error {
		resp, err := c.Invoke(t.Context(), &Request{Verb: "GET", Header: http.Header{}})
		if err == nil {
			body(t, resp)
		}
		return err
	}
	for range 2 { // started, stopped and started again
		err := call()
		require.ErrorIs(t, err, ErrNotListening)
		require.ErrorContains(t, err, address)
		require.ErrorContains(t, err, "--app-port")

		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(echo)}
		go func() { _ = server.Serve(l) }()
		require.NoError(t, call())
		require.NoError(t, server.Close())
	}
}

func TestLoopbackOfIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	server := &http.Server{Handler: http.HandlerFunc(echo)}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	c := channelTo(t, "127.0.0.1:"+port, Options{})
	require.NoError(t, c.WaitListening(t.Context()))
	resp, err := c.Invoke(t.Context(), &Request{Verb: "GET", Header: http.Header{}})
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, resp.Status)
}

func TestMaxConcurrency(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // a body of unknown length
		<-finish
	}))
	defer server.Close()
	c := channelTo(t, server.URL, Options{MaxConcurrency: 1})
	type result struct {
		resp *Response
		err  error
	}
	call := func(ctx context.Context) chan result {
		done := make(chan result, 1)
		go func() {
			resp, err := c.Invoke(ctx, &Request{Verb: "GET", Header: http.Header{}})
			done <- result{resp, err}
		}()
		return done
	}
	first := call(t.Context())
	<-arrived
	open := <-first
	require.NoError(t, open.err)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, (<-call(ctx)).err, "deadline", "the slot is taken until the body is closed")

	second := call(t.Context())
	finish <- struct{}{}
	body(t, open.resp)
	<-arrived
	finish <- struct{}{}
	got := <-second
	require.NoError(t, got.err)
	body(t, got.resp)
}

func TestWaitListening(t *testing.T) {
	address := freeAddress(t)
	var log lockedBuffer
	c := channelTo(t, address, Options{Logger: telemetry.NewLogger(&log, telemetry.LogOptions{})})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.WaitListening(ctx), context.Canceled)

	done := make(chan error, 1)
	go func() { done <- c.WaitListening(t.Context()) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "This will block until the app is listening") }, 5*time.Second, time.Millisecond)
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, <-done)
	require.Contains(t, log.String(), "application discovered on port")
}
