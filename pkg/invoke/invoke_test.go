package invoke

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/resiliency"
)

// mirror answers with what it was asked.
func mirror(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Method", r.Method)
	w.Header().Set("X-Uri", r.RequestURI)
	for _, name := range []string{
		"Dapr-Caller-App-Id", "Dapr-Caller-Namespace", "Dapr-Callee-App-Id", "Dapr-App-Id", "Authorization", "X-Custom",
		"Traceparent", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Content-Type", "X-Hop", "User-Agent", "Expect",
	} {
		if v := r.Header.Get(name); v != "" {
			w.Header().Set("Got-"+name, v)
		}
	}
	if status, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil {
		w.WriteHeader(status)
	}
	_, _ = w.Write(data)
}

func call(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(data)
}

// errorOf reads the body of an API error.
func errorOf(t *testing.T, body string) (code, message string) {
	t.Helper()
	var e struct{ ErrorCode, Message string }
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.ErrorCode, e.Message
}

func TestHTTPApps(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(mirror))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(mirror))
	defer secure.Close()
	h2c := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()

	folder := t.TempDir()
	caller := start(t, folder, "caller", withApp(t, app.HTTP, plain.URL))
	start(t, folder, "http", withApp(t, app.HTTP, plain.URL))
	start(t, folder, "https", withApp(t, app.HTTPS, secure.URL))
	start(t, folder, "h2c", withApp(t, app.H2C, h2c.URL))
	large := strings.Repeat("0123456789abcdef", 20000)

	for _, id := range []string{"http", "https", "h2c", "caller"} {
		for name, body := range map[string]string{"empty": "", "small": "hello", "large": large} {
			t.Run(id+"/"+name, func(t *testing.T) {
				resp, got := call(t, "POST", caller.url+"/v1.0/invoke/"+id+"/method/a%20b/../c?q=%20&status=418", body,
					"X-Custom", "1", "Content-Type", "text/x", "Traceparent", "00-1", "Connection", "X-Hop", "X-Hop", "1",
					"Dapr-Caller-App-Id", "forged", "Dapr-Caller-Namespace", "forged", "X-Forwarded-For", "9.9.9.9")
				require.Equal(t, 418, resp.StatusCode)
				require.Equal(t, body, got)
				require.Equal(t, "POST", resp.Header.Get("X-Method"))
				require.Equal(t, "/c?q=%20&status=418", resp.Header.Get("X-Uri"))
				require.Equal(t, "1", resp.Header.Get("Got-X-Custom"))
				require.Equal(t, "text/x", resp.Header.Get("Got-Content-Type"))
				require.Equal(t, "00-1", resp.Header.Get("Got-Traceparent"))
				require.Empty(t, resp.Header.Get("Got-X-Hop"))
				require.Equal(t, "caller", resp.Header.Get("Got-Dapr-Caller-App-Id"))
				require.Empty(t, resp.Header.Get("Got-Dapr-Caller-Namespace"))
				require.Equal(t, id, resp.Header.Get("Got-Dapr-Callee-App-Id"))
				require.Equal(t, "9.9.9.9, 127.0.0.1", resp.Header.Get("Got-X-Forwarded-For"))
				require.NotEmpty(t, resp.Header.Get("Got-X-Forwarded-Host"))
				require.Contains(t, resp.Header.Get("Got-Forwarded"), "for=127.0.0.1;by=127.0.0.1;host=")
			})
		}
	}
}

func TestEveryMethod(t *testing.T) {
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, mirror)))
	caller := start(t, folder, "caller")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		resp, body := call(t, method, caller.url+"/v1.0/invoke/a/method/m", "")
		require.Equal(t, 200, resp.StatusCode, method)
		require.Equal(t, method, resp.Header.Get("X-Method"))
		require.Empty(t, body)
	}
	resp, body := call(t, "PROPFIND", caller.url+"/v1.0/invoke/a/method/m", "")
	require.Equal(t, 500, resp.StatusCode)
	code, message := errorOf(t, body)
	require.Equal(t, "ERR_DIRECT_INVOKE", code)
	require.Contains(t, message, `HTTP method "PROPFIND" cannot be carried`)
}

func TestTargets(t *testing.T) {
	url := serve(t, mirror)
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, url))
	start(t, folder, "far", withApp(t, app.HTTP, url), func(o *Options) { o.Namespace = "away" })
	secure := httptest.NewTLSServer(http.HandlerFunc(mirror))
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	caller := start(t, folder, "caller", func(o *Options) {
		o.Endpoints = []Endpoint{{Name: "out", BaseURL: secure.URL + "/base/", Headers: map[string]string{"x-custom": "endpoint"}, TLS: &tls.Config{RootCAs: roots}}}
	})
	escaped := strings.NewReplacer(":", "%3A", "/", "%2F").Replace(url)
	for _, tt := range []struct {
		name, path string
		header     []string
		status     int
		want       string // the URI at the app, or a part of the error
	}{
		{"app", "/v1.0/invoke/a/method/m?x=1", nil, 200, "/m?x=1"},
		{"root", "/v1.0/invoke/a/method/", nil, 200, "/"},
		{"namespace", "/v1.0/invoke/far.away/method/m", nil, 200, "/m"},
		{"header", "/m/n?x=1", []string{"dapr-app-id", "a"}, 200, "/m/n?x=1"},
		{"basic authentication", "/m", []string{"Authorization", "Basic ZGFwci1hcHAtaWQ6YQ=="}, 200, "/m"},
		{"endpoint", "/v1.0/invoke/out/method/m?x=1", nil, 200, "/base/m?x=1"},
		{"endpoint by header", "/m", []string{"dapr-app-id", "out"}, 200, "/base/m"},
		{"URL", "/v1.0/invoke/" + url + "/method/m", nil, 200, "/m"},
		{"escaped URL", "/v1.0/invoke/" + escaped + "/method/m", nil, 200, "/m"},
		{"endpoint cannot be climbed out of", "/m/../../n", []string{"dapr-app-id", "out"}, 200, "/base/n"},
		{"two dots", "/v1.0/invoke/a.b.c/method/m", nil, 500, "failed to invoke, id: a.b.c, err: target \"a.b.c\" has more than one dot"},
		{"forbidden character", "/v1.0/invoke/a/method/m%23n", nil, 500, "has the character '#'"},
		{"no such app", "/v1.0/invoke/nobody/method/m", nil, 500, "failed to invoke, id: nobody, err: couldn't find service: nobody"},
		{"no id", "/m", nil, 404, "failed getting app id either from the URL path or the header dapr-app-id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := call(t, "GET", caller.url+tt.path, "", tt.header...)
			require.Equal(t, tt.status, resp.StatusCode, body)
			if tt.status == 200 {
				require.Equal(t, tt.want, resp.Header.Get("X-Uri"))
				require.Empty(t, resp.Header.Get("Got-Dapr-App-Id"))
				require.Empty(t, resp.Header.Get("Got-Authorization"))
				return
			}
			code, message := errorOf(t, body)
			require.Equal(t, "ERR_DIRECT_INVOKE", code)
			require.Contains(t, message, tt.want)
		})
	}
	resp, _ := call(t, "GET", caller.url+"/v1.0/invoke/out/method/m", "", "X-Custom", "mine")
	require.Equal(t, "endpoint", resp.Header.Get("Got-X-Custom"), "the endpoint's headers win")
	require.Empty(t, resp.Header.Get("Got-Dapr-Caller-App-Id"), "and servers outside learn nothing of apps")
}

func TestEndpointsAreChecked(t *testing.T) {
	_, err := New(Options{Endpoints: []Endpoint{{Name: "e", BaseURL: "example.com"}}})
	require.ErrorContains(t, err, `HTTP endpoint e: baseUrl "example.com" is not a URL`)
}

func TestFailures(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := free.Addr().String()
	free.Close()
	folder := t.TempDir()
	caller := start(t, folder, "caller", withApp(t, app.HTTP, gone))
	start(t, folder, "down", withApp(t, app.HTTP, gone))
	start(t, folder, "deaf")
	start(t, folder, "sick", withApp(t, app.HTTP, gone, func(o *app.Options) { o.Health = &app.HealthOptions{} }))
	for id, want := range map[string]string{
		"down":   "the app is not listening on " + gone,
		"caller": "the app is not listening on " + gone,
		"deaf":   "the app takes no calls: give the port it listens on with --app-port",
		"sick":   "app is not in a healthy state",
	} {
		t.Run(id, func(t *testing.T) {
			began := time.Now()
			resp, body := call(t, "POST", caller.url+"/v1.0/invoke/"+id+"/method/m", "x")
			require.Equal(t, 500, resp.StatusCode)
			code, message := errorOf(t, body)
			require.Equal(t, "ERR_DIRECT_INVOKE", code)
			require.True(t, strings.HasPrefix(message, "failed to invoke, id: "+id+", err: "), message)
			require.Contains(t, message, want)
			require.NotContains(t, message, "rpc error")
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}

// Two calls of an app whose first sidecar is gone: the second sidecar answers.
func TestSidecarThatWasReplaced(t *testing.T) {
	folder := t.TempDir()
	caller := start(t, folder, "caller")
	t.Run("first", func(t *testing.T) {
		start(t, folder, "a", withApp(t, app.HTTP, serve(t, mirror)))
		resp, _ := call(t, "GET", caller.url+"/v1.0/invoke/a/method/m", "")
		require.Equal(t, 200, resp.StatusCode)
	})
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, mirror)))
	resp, body := call(t, "GET", caller.url+"/v1.0/invoke/a/method/m", "")
	require.Equal(t, 200, resp.StatusCode, body)
}

func TestRetries(t *testing.T) {
	// A sidecar that is registered and not there: nothing listens on its port.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	free.Close()
	var asked atomic.Int64
	resolver := fixedResolver(func() string { asked.Add(1); return address })
	caller := start(t, t.TempDir(), "caller", func(o *Options) {
		o.Resolver = resolver
		o.Retry = &resiliency.Policy{MaxRetries: 2, Retryable: resiliency.ServiceRetries().Retryable}
	})
	resp, _ := call(t, "POST", caller.url+"/v1.0/invoke/a/method/m", "small")
	require.Equal(t, 500, resp.StatusCode)
	require.Equal(t, int64(3), asked.Load())

	asked.Store(0)
	req, err := http.NewRequestWithContext(t.Context(), "POST", caller.url+"/v1.0/invoke/a/method/m", io.MultiReader(strings.NewReader("chunked")))
	require.NoError(t, err)
	resp, err = (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 500, resp.StatusCode)
	require.Equal(t, int64(1), asked.Load(), "a body that streams is never sent again")
}

func TestServerSentEvents(t *testing.T) {
	next := make(chan string)
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			_ = http.NewResponseController(w).Flush()
		}
	})))
	caller := start(t, folder, "caller")
	req, err := http.NewRequestWithContext(t.Context(), "GET", caller.url+"/v1.0/invoke/a/method/events", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := (&http.Transport{}).RoundTrip(req) // the header comes before any event
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	in := bufio.NewReader(resp.Body)
	for i := range 3 { // each event comes before the next one is made
		next <- strconv.Itoa(i)
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("data: %d\n", i), line)
		_, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	close(next)
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

// shout answers in capitals while it is still being asked.
func shout(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	w.WriteHeader(200)
	_ = control.Flush()
	buf := make([]byte, 1024)
	for {
		n, err := r.Body.Read(buf)
		_, _ = io.WriteString(w, strings.ToUpper(string(buf[:n])))
		_ = control.Flush()
		if err != nil {
			return
		}
	}
}

func TestBothDirectionsAtOnce(t *testing.T) {
	h2c := httptest.NewUnstartedServer(http.HandlerFunc(shout))
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()
	folder := t.TempDir()
	start(t, folder, "http", withApp(t, app.HTTP, serve(t, shout)))
	start(t, folder, "h2c", withApp(t, app.H2C, h2c.URL))
	caller := start(t, folder, "caller")
	for _, id := range []string{"http", "h2c"} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s over HTTP/%d", id, version), func(t *testing.T) {
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(version == 1)
				transport.Protocols.SetUnencryptedHTTP2(version == 2)
				defer transport.CloseIdleConnections()
				in, out := io.Pipe()
				req, err := http.NewRequestWithContext(t.Context(), "POST", caller.url+"/v1.0/invoke/"+id+"/method/m", in)
				require.NoError(t, err)
				resp, err := transport.RoundTrip(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				buf := make([]byte, 16)
				for _, word := range []string{"one", "two", "three"} {
					_, err := io.WriteString(out, word)
					require.NoError(t, err)
					n, err := io.ReadFull(resp.Body, buf[:len(word)])
					require.NoError(t, err)
					require.Equal(t, strings.ToUpper(word), string(buf[:n]))
				}
				require.NoError(t, out.Close())
				_, err = resp.Body.Read(buf)
				require.ErrorIs(t, err, io.EOF)
			})
		}
	}
}

// An app that answers before it has the whole request: the answer arrives,
// although the client goes on sending, and what it sends is not taken for
// another request.
func TestEarlyAnswer(t *testing.T) {
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.URL.Path == "/chunked" {
			w.WriteHeader(http.StatusForbidden)
			_ = http.NewResponseController(w).Flush() // an answer of unknown length
			return
		}
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no")
	})))
	caller := start(t, folder, "caller")
	for path, want := range map[string]string{"/chunked": "", "/known": "no"} {
		t.Run(path, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(caller.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "POST /v1.0/invoke/a/method"+path+" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusForbidden, resp.StatusCode)
			require.True(t, resp.Close)
			data, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, want, string(data))
			_, _ = io.WriteString(conn, "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
			rest, err := io.ReadAll(in)
			require.Empty(t, rest)
			if err != nil {
				require.ErrorIs(t, err, syscall.ECONNRESET)
			}
		})
	}
}

func TestConnectionIsKeptAfterAWholeRequest(t *testing.T) {
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, mirror)))
	caller := start(t, folder, "caller")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, n := range []int{10, 100_000} {
		body := strings.Repeat("x", n)
		req, err := http.NewRequestWithContext(t.Context(), "POST", caller.url+"/v1.0/invoke/a/method/m", strings.NewReader(body))
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, body, string(data))
		require.False(t, resp.Close)
	}
}

func TestAppThatBreaksOff(t *testing.T) {
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	caller := start(t, folder, "caller")
	req, err := http.NewRequestWithContext(t.Context(), "GET", caller.url+"/v1.0/invoke/a/method/m", nil)
	require.NoError(t, err)
	resp, err := (&http.Transport{}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.Equal(t, "half", string(data))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the client must not take it for the whole")
}

func TestClientThatLeaves(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	folder := t.TempDir()
	start(t, folder, "a", withApp(t, app.HTTP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})))
	caller := start(t, folder, "caller")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", caller.url+"/v1.0/invoke/a/method/m", nil)
	require.NoError(t, err)
	go func() { <-arrived; cancel() }()
	resp, err := (&http.Transport{}).RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, resp)
	<-left // the app learns of it
}

// Ten stacks that start at once all find each other.
func TestAllFindEachOther(t *testing.T) {
	const apps = 10
	folder := t.TempDir()
	url := serve(t, mirror)
	stacks := make([]*stack, apps)
	for i := range apps {
		stacks[i] = start(t, folder, "app"+strconv.Itoa(i), withApp(t, app.HTTP, url))
	}
	var wg sync.WaitGroup
	for i := range apps {
		wg.Go(func() {
			for j := range apps {
				req, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("%s/v1.0/invoke/app%d/method/m", stacks[i].url, j), nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 200 || resp.Header.Get("Got-Dapr-Caller-App-Id") != "app"+strconv.Itoa(i) {
					t.Errorf("app%d calls app%d: %s", i, j, resp.Status)
				}
			}
		})
	}
	wg.Wait()
}

func TestMetrics(t *testing.T) {
	folder := t.TempDir()
	callee := start(t, folder, "a", withApp(t, app.HTTP, serve(t, mirror)))
	caller := start(t, folder, "caller")
	for range 2 {
		call(t, "GET", caller.url+"/v1.0/invoke/a/method/m?status=404", "")
	}
	require.Subset(t, series(t, caller), []string{
		`dapr_runtime_service_invocation_req_sent_total{app_id="caller",dst_app_id="a",type="unary"} 2`,
		`dapr_runtime_service_invocation_res_recv_total{app_id="caller",src_app_id="a",status="404",type="unary"} 2`,
		`dapr_runtime_service_invocation_res_recv_latency_ms_count{app_id="caller",src_app_id="a",status="404"} 2`,
	})
	require.Subset(t, series(t, callee), []string{
		`dapr_runtime_service_invocation_req_recv_total{app_id="a",src_app_id="caller"} 2`,
		`dapr_runtime_service_invocation_res_sent_total{app_id="a",dst_app_id="caller",status="404"} 2`,
	})
}

func series(t *testing.T, s *stack) []string {
	t.Helper()
	w := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return strings.Split(w.Body.String(), "\n")
}
