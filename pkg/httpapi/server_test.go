package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/apifilter"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// start serves until the test ends, and returns the address and a way to end
// earlier that waits for Serve.
func start(t *testing.T, o httpapi.Options) (addr string, stop func() error) {
	t.Helper()
	return startFront(t, httpapi.FrontOptions{Grace: 5 * time.Second}, o)
}

func startFront(t *testing.T, f httpapi.FrontOptions, o httpapi.Options) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- httpapi.NewFront(f, httpapi.New(o)).Serve(ctx, l) }()
	stop = func() error {
		cancel()
		err := <-served
		served <- err
		return err
	}
	t.Cleanup(func() { require.NoError(t, stop()) })
	return l.Addr().String(), stop
}

// one is a route for any method and path.
func one(h httpapi.HandlerFunc) []httpapi.Route {
	return []httpapi.Route{{Path: "/{rest...}", Group: "state", Version: "v1", Name: "One", Handler: h}}
}

func TestErrorBodies(t *testing.T) {
	base := apierror.New("ERR_STATE_GET", http.StatusInternalServerError, codes.Internal, "failed <%s>", "k")
	for _, tc := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"code and message", base, 500, `{"errorCode":"ERR_STATE_GET","message":"failed \u003ck\u003e"}`},
		{"wrapped", fmt.Errorf("outer: %w", base), 500, `{"errorCode":"ERR_STATE_GET","message":"failed \u003ck\u003e"}`},
		{"unknown", errors.New("boom"), 500, `{"errorCode":"ERROR","message":"boom"}`},
		{
			"details", apierror.New("ERR_PUBSUB_NOT_FOUND", http.StatusNotFound, codes.InvalidArgument, "no p").
				WithReason("DAPR_PUBSUB_NOT_FOUND", map[string]string{"appID": "a"}).WithResource("pubsub", "p", "a", ""), 404,
			`{"errorCode":"ERR_PUBSUB_NOT_FOUND","message":"no p","details":[` +
				`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"DAPR_PUBSUB_NOT_FOUND","domain":"dapr.io","metadata":{"appID":"a"}},` +
				`{"@type":"type.googleapis.com/google.rpc.ResourceInfo","resource_type":"pubsub","resource_name":"p","owner":"a"}]}`,
		},
		{"without a status", &apierror.Error{Code: "ERR_X", Message: "m"}, 500, `{"errorCode":"ERR_X","message":"m"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			h := httpapi.New(httpapi.Options{
				Errors: apierror.NewCounter(reg),
				Routes: one(func(w http.ResponseWriter, _ *http.Request) error {
					w.Header().Set("Content-Length", "3") // meant for the answer that failed
					return tc.err
				}),
			})
			rec := call(h, "GET", "/x")
			require.Equal(t, tc.status, rec.Code)
			require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
			require.Empty(t, rec.Header().Get("Content-Length"))
			require.Equal(t, tc.body, rec.Body.String())
			require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP dapr_error_code_total Errors answered by the API, by code.
# TYPE dapr_error_code_total counter
dapr_error_code_total{category="state",error_code=%q} 1
`, apierror.From(tc.err).Code)), "dapr_error_code_total"))
		})
	}
}

func TestFailuresAreLoggedOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		health bool
		level  string
	}{
		{"the caller's mistake", 400, false, "debug"},
		{"our failure", 500, false, "warning"},
		{"not ready yet", 500, true, "debug"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			rs := one(func(http.ResponseWriter, *http.Request) error {
				return apierror.New("ERR_X", tc.status, codes.Internal, "why")
			})
			rs[0].AlwaysAllowed = tc.health
			h := httpapi.New(httpapi.Options{Routes: rs, Log: telemetry.NewLogger(&log, telemetry.LogOptions{Level: slog.LevelDebug})})
			call(h, "GET", "/path")
			require.Equal(t, 1, strings.Count(log.String(), "\n"))
			require.Contains(t, log.String(), "level="+tc.level+` msg="API call failed" code=ERR_X error=why`)
			require.Contains(t, log.String(), "method=GET path=/path status="+fmt.Sprint(tc.status))
		})
	}
}

func TestBodies(t *testing.T) {
	type body struct{ Key string }
	h := httpapi.New(httpapi.Options{MaxBody: 16, Routes: []httpapi.Route{
		{Path: "/read", Handler: func(w http.ResponseWriter, r *http.Request) error {
			b, err := httpapi.ReadBody(r)
			if err == nil {
				_, err = w.Write(b)
			}
			return err
		}},
		{Path: "/decode", Handler: func(w http.ResponseWriter, r *http.Request) error {
			var b body
			if err := httpapi.DecodeJSON(r, &b); err != nil {
				return err
			}
			return httpapi.WriteJSON(w, http.StatusAccepted, b)
		}},
	}})
	exact, over := `{"key":"123456"}`, `{"key":"1234567"}`
	for _, tc := range []struct {
		name, path, body string
		chunked          bool
		status           int
		want             string
	}{
		{"read", "/read", exact, false, 200, exact},
		{"read chunked", "/read", exact, true, 200, exact},
		{"read nothing", "/read", "", false, 200, ""},
		{"read too much", "/read", over, false, 400, `{"errorCode":"ERR_BODY_READ","message":"failed to read the request body: stream too large"}`},
		{"read too much chunked", "/read", over, true, 400, `{"errorCode":"ERR_BODY_READ","message":"failed to read the request body: stream too large"}`},
		{"decode", "/decode", exact, false, 202, `{"Key":"123456"}`},
		{"decode too much", "/decode", over, true, 400, `{"errorCode":"ERR_MALFORMED_REQUEST","message":"failed deserializing HTTP body: stream too large"}`},
		{"decode nothing", "/decode", "", false, 400, `{"errorCode":"ERR_MALFORMED_REQUEST","message":"failed deserializing HTTP body: unexpected end of JSON input"}`},
		{"decode rubbish", "/decode", "{]", false, 400, `{"errorCode":"ERR_MALFORMED_REQUEST","message":"failed deserializing HTTP body: invalid character ']' looking for beginning of object key string"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var in io.Reader = strings.NewReader(tc.body)
			if tc.chunked {
				in = io.MultiReader(in) // hides the length
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("POST", tc.path, in))
			require.Equal(t, tc.status, rec.Code)
			require.Equal(t, tc.want, rec.Body.String())
		})
	}
}

func TestReplies(t *testing.T) {
	h := httpapi.New(httpapi.Options{Routes: []httpapi.Route{
		{Path: "/empty", Handler: func(w http.ResponseWriter, _ *http.Request) error { return httpapi.Empty(w) }},
		{Path: "/raw", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "application/x")
			return httpapi.WriteJSON(w, http.StatusOK, json.RawMessage(`{ "a": 1}`))
		}},
		{Path: "/not-json", Handler: func(w http.ResponseWriter, _ *http.Request) error {
			return httpapi.WriteJSON(w, http.StatusOK, func() {})
		}},
	}})
	empty := call(h, "GET", "/empty")
	require.Equal(t, http.StatusNoContent, empty.Code)
	require.Empty(t, empty.Body.String())

	raw := call(h, "GET", "/raw")
	require.Equal(t, "application/x", raw.Header().Get("Content-Type"))
	require.Equal(t, `{ "a": 1}`, raw.Body.String())

	notJSON := call(h, "GET", "/not-json")
	require.Equal(t, http.StatusInternalServerError, notJSON.Code)
	require.JSONEq(t, `{"errorCode":"ERROR","message":"json: unsupported type: func()"}`, notJSON.Body.String())
}

func TestToken(t *testing.T) {
	rs := routes("GET /v1.0/healthz", "GET /v1.0/state/{store}/{key}")
	rs[0].AlwaysAllowed = true
	var seen http.Header
	h := httpapi.New(httpapi.Options{Token: "s3cret", Routes: rs, Fallback: func(_ http.ResponseWriter, r *http.Request) error {
		seen = r.Header
		return nil
	}})
	for _, tc := range []struct {
		name, target, token string
		status              int
	}{
		{"right", "/v1.0/state/s/k", "s3cret", 200},
		{"wrong", "/v1.0/state/s/k", "s3creT", 401},
		{"a part of it", "/v1.0/state/s/k", "s3c", 401},
		{"none", "/v1.0/state/s/k", "", 401},
		{"none on an unknown path", "/order", "", 401},
		{"health needs none", "/v1.0/healthz", "", 200},
		{"health with a wrong one", "/v1.0/healthz", "x", 200},
		{"right on an unknown path", "/order", "s3cret", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tc.target, nil)
			if tc.token != "" {
				r.Header.Set("dapr-api-token", tc.token)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			require.Equal(t, tc.status, rec.Code)
			if tc.status == http.StatusUnauthorized {
				require.Equal(t, "invalid api token\n", rec.Body.String())
			}
		})
	}
	require.NotNil(t, seen)
	require.NotContains(t, seen, "Dapr-Api-Token", "the token leaks to whoever is behind")
}

func TestCORS(t *testing.T) {
	const list = "https://a.example, https://b.example"
	for _, tc := range []struct {
		name, origins   string
		method, origin  string
		wanted, headers string
		status          int
		want            map[string]string
	}{
		{"off", "", "GET", "https://a.example", "", "", 200, map[string]string{"Access-Control-Allow-Origin": "", "Vary": ""}},
		{"not a browser", list, "GET", "", "", "", 200, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		{"allowed", list, "GET", "https://b.example", "", "", 200, map[string]string{"Access-Control-Allow-Origin": "https://b.example"}},
		{"not allowed", list, "GET", "https://c.example", "", "", 200, map[string]string{"Access-Control-Allow-Origin": ""}},
		{"all", "*", "GET", "https://c.example", "", "", 200, map[string]string{"Access-Control-Allow-Origin": "*", "Vary": ""}},
		{"preflight", list, "OPTIONS", "https://a.example", "PUT", "x-one, x-two", 204, map[string]string{
			"Access-Control-Allow-Origin":  "https://a.example",
			"Access-Control-Allow-Methods": "HEAD, GET, POST, PUT, PATCH, DELETE",
			"Access-Control-Allow-Headers": "x-one, x-two",
		}},
		{"preflight, other origin", list, "OPTIONS", "https://c.example", "PUT", "", 204, map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}},
		{"preflight, other method", list, "OPTIONS", "https://a.example", "BREW", "", 204, map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}},
		{"preflight, all", "*", "OPTIONS", "https://c.example", "DELETE", "", 204, map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": ""}},
		{"OPTIONS that is no preflight", list, "OPTIONS", "", "", "", 200, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := httpapi.New(httpapi.Options{
				Origins: tc.origins,
				Routes:  one(func(http.ResponseWriter, *http.Request) error { return nil }),
			})
			r := httptest.NewRequest(tc.method, "/x", nil)
			for name, value := range map[string]string{"Origin": tc.origin, "Access-Control-Request-Method": tc.wanted, "Access-Control-Request-Headers": tc.headers} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			require.Equal(t, tc.status, rec.Code)
			for name, value := range tc.want {
				require.Equal(t, value, rec.Header().Get(name), name)
			}
		})
	}
	t.Run("a preflight needs no token", func(t *testing.T) {
		h := httpapi.New(httpapi.Options{Origins: "*", Token: "s3cret"})
		r := httptest.NewRequest("OPTIONS", "/x", nil)
		r.Header.Set("Origin", "https://a.example")
		r.Header.Set("Access-Control-Request-Method", "GET")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		require.Equal(t, http.StatusNoContent, rec.Code)
	})
}

func TestFilter(t *testing.T) {
	rs := routes("GET /v1.0/state/{store}/{key}", "GET /v1.0/secrets/{store}/{key}", "GET /v1.0/healthz")
	rs[1].Group = "secrets"
	rs[2].Group, rs[2].AlwaysAllowed = "healthz", true
	for _, tc := range []struct {
		name            string
		allowed, denied []apifilter.Rule
		state, secrets  string
	}{
		{"no lists", nil, nil, "GET /v1.0/state/{store}/{key}|s|k", "GET /v1.0/secrets/{store}/{key}|s|k"},
		{"denied goes to the fallback", nil, []apifilter.Rule{{Name: "secrets", Version: "v1"}}, "GET /v1.0/state/{store}/{key}|s|k", "fallback /v1.0/secrets/s/k"},
		{"denied by path", nil, []apifilter.Rule{{Name: "secrets", Version: "v1.0", Protocol: "http"}}, "GET /v1.0/state/{store}/{key}|s|k", "fallback /v1.0/secrets/s/k"},
		{"without invoke there is no fallback", []apifilter.Rule{{Name: "state", Version: "v1"}}, nil, "GET /v1.0/state/{store}/{key}|s|k", "404 page not found\n"},
		{"with invoke there is", []apifilter.Rule{{Name: "invoke", Version: "v1"}}, nil, "fallback /v1.0/state/s/k", "fallback /v1.0/secrets/s/k"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := httpapi.New(httpapi.Options{Routes: rs, Fallback: fallback, Filter: apifilter.Filter{Allowed: tc.allowed, Denied: tc.denied}})
			require.Equal(t, tc.state, call(h, "GET", "/v1.0/state/s/k").Body.String())
			require.Equal(t, tc.secrets, call(h, "GET", "/v1.0/secrets/s/k").Body.String())
			require.Equal(t, "GET /v1.0/healthz", call(h, "GET", "/v1.0/healthz").Body.String())
		})
	}
}

func TestPublicServer(t *testing.T) {
	rs := routes("GET /v1.0/metadata", "GET /v1.0/state/{store}/{key}")
	rs[0].Public = true
	h := httpapi.New(httpapi.Options{
		Public: true, Routes: rs, Fallback: fallback, Token: "s3cret", Origins: "*",
		Pipeline: func(http.Handler) http.Handler { return http.NotFoundHandler() },
	})
	require.Equal(t, "GET /v1.0/metadata", call(h, "GET", "/v1.0/metadata").Body.String())
	require.Equal(t, "404 page not found\n", call(h, "GET", "/v1.0/state/s/k").Body.String())
}

func TestLayerOrder(t *testing.T) {
	var order []string
	layer := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				r.URL.Path += "/" + name
				next.ServeHTTP(w, r)
			})
		}
	}
	h := httpapi.New(httpapi.Options{
		Token: "s3cret", Tracing: layer("tracing"), Pipeline: layer("pipeline"),
		Routes: routes("GET /x/tracing/pipeline"),
	})
	require.Equal(t, http.StatusUnauthorized, call(h, "GET", "/x").Code)
	require.Equal(t, []string{"tracing"}, order, "the pipeline comes after the token")

	r := httptest.NewRequest("GET", "/x", nil)
	r.Header.Set("dapr-api-token", "s3cret")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	require.Equal(t, "GET /x/tracing/pipeline", rec.Body.String(), "routes are matched after the pipeline")
}

func TestAPILog(t *testing.T) {
	rs := routes("GET /v1.0/healthz", "GET /v1.0/state/{store}/{key}")
	rs[0].AlwaysAllowed = true
	rs[1].Name = "GetState"
	for _, tc := range []struct {
		name, target string
		log          httpapi.APILog
		want         string
	}{
		{"plain", "/v1.0/state/s/k", httpapi.APILog{}, `code=200 duration=0 instance=h method="GET /v1.0/state/s/k" scope=dapr.runtime.http-info size=33 type=log useragent=curl/8`},
		{"obfuscated", "/v1.0/state/s/k", httpapi.APILog{ObfuscateURLs: true}, `code=200 duration=0 instance=h method=GetState scope=dapr.runtime.http-info size=33 type=log useragent=curl/8`},
		{"fallback", "/order", httpapi.APILog{ObfuscateURLs: true}, `code=400 duration=0 instance=h method=InvokeService scope=dapr.runtime.http-info size=35 type=log useragent=curl/8`},
		{"health", "/v1.0/healthz", httpapi.APILog{}, `method="GET /v1.0/healthz"`},
		{"health omitted", "/v1.0/healthz", httpapi.APILog{OmitHealthChecks: true}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			tc.log.Log = telemetry.Scope(telemetry.NewLogger(&log, telemetry.LogOptions{Instance: "h"}), "dapr.runtime.http-info")
			h := httpapi.New(httpapi.Options{Routes: rs, APILog: &tc.log, Fallback: func(http.ResponseWriter, *http.Request) error {
				return apierror.New("ERR_X", http.StatusBadRequest, codes.InvalidArgument, "m")
			}})
			r := httptest.NewRequest("GET", tc.target, nil)
			r.Header.Set("User-Agent", "curl/8")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if tc.want == "" {
				require.Empty(t, log.String())
				return
			}
			require.Contains(t, log.String(), `level=info msg="HTTP API Called" `)
			require.Contains(t, log.String(), tc.want)
		})
	}
}

func TestBadEscape(t *testing.T) {
	addr, _ := start(t, httpapi.Options{Routes: routes("GET /v1.0/state/{store}/{key}")})
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1.0/state/s/%%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Type"), "text/plain")
}

func TestHeaderLimit(t *testing.T) {
	addr, _ := startFront(t, httpapi.FrontOptions{ReadBuffer: 4 << 10}, httpapi.Options{Routes: routes("GET /x")})
	for size, want := range map[int]int{2 << 10: http.StatusOK, 32 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/x", nil)
		require.NoError(t, err)
		r.Header.Set("X-Long", strings.Repeat("x", size))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, size)
	}
}

func TestH2C(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	proto := one(func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, r.Proto)
		return err
	})

	addr, _ := start(t, httpapi.Options{Routes: proto})
	resp, err := client.Get("http://" + addr)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", string(body))

	addr, _ = startFront(t, httpapi.FrontOptions{DisableH2C: true}, httpapi.Options{Routes: proto})
	_, err = client.Get("http://" + addr)
	require.Error(t, err)
}

// everything is a server with every layer on.
func everything(t *testing.T, h httpapi.HandlerFunc) httpapi.Options {
	t.Helper()
	metrics, err := httpapi.NewMetrics(prometheus.NewRegistry(), httpapi.MetricsOptions{})
	require.NoError(t, err)
	return httpapi.Options{
		Routes: one(h), MaxBody: 1 << 20, Origins: "https://a.example", Token: "s3cret",
		APILog: &httpapi.APILog{Log: telemetry.Discard()}, Metrics: metrics,
	}
}

func TestStreamingBothWays(t *testing.T) {
	// Echoes line by line: a line must come back before the next one is sent.
	echo := func(w http.ResponseWriter, r *http.Request) error {
		rc := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			if err := rc.EnableFullDuplex(); err != nil {
				return err
			}
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			if _, err := fmt.Fprintln(w, lines.Text()); err != nil {
				return err
			}
			if lines.Text() == "direct" { // the older way
				w.(http.Flusher).Flush()
			} else if err := rc.Flush(); err != nil {
				return err
			}
		}
		return lines.Err()
	}
	addr, _ := start(t, everything(t, echo))
	for _, h2c := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2c=%t", h2c), func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!h2c)
			protocols.SetUnencryptedHTTP2(h2c)
			client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
			defer client.CloseIdleConnections()

			in, out := io.Pipe()
			r, err := http.NewRequest(http.MethodPost, "http://"+addr, in)
			require.NoError(t, err)
			r.Header.Set("dapr-api-token", "s3cret")
			go fmt.Fprintln(out, "first")
			resp, err := client.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			answer := bufio.NewReader(resp.Body)
			for _, line := range []string{"first", "second", "direct", "last"} {
				if line != "first" {
					_, err = fmt.Fprintln(out, line)
					require.NoError(t, err)
				}
				got, err := answer.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, line+"\n", got)
			}
			require.NoError(t, out.Close())
			_, err = answer.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestAbortedAnswer(t *testing.T) {
	addr, _ := start(t, httpapi.Options{Routes: one(func(w http.ResponseWriter, _ *http.Request) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return fmt.Errorf("the app went away: %w", http.ErrAbortHandler)
	})})
	resp, err := http.Get("http://" + addr)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	require.Error(t, err, "a broken answer looks whole")
}

func TestGracefulShutdown(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	slow := one(func(w http.ResponseWriter, r *http.Request) error {
		entered <- struct{}{}
		select {
		case <-finish:
		case <-r.Context().Done():
		}
		return httpapi.Empty(w)
	})
	get := func(addr string) <-chan error {
		done := make(chan error, 1)
		go func() {
			resp, err := http.Get("http://" + addr)
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
		<-entered
		return done
	}

	t.Run("running requests finish", func(t *testing.T) {
		addr, stop := startFront(t, httpapi.FrontOptions{Grace: time.Minute}, httpapi.Options{Routes: slow})
		done := get(addr)
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		require.Eventually(t, func() bool {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
			}
			return err != nil
		}, 10*time.Second, 5*time.Millisecond, "new connections are still taken")
		finish <- struct{}{}
		require.NoError(t, <-done)
		require.NoError(t, <-stopped)
	})

	t.Run("the rest is cut off", func(t *testing.T) {
		addr, stop := startFront(t, httpapi.FrontOptions{Grace: 10 * time.Millisecond}, httpapi.Options{Routes: slow})
		done := get(addr)
		require.NoError(t, stop())
		require.Error(t, <-done)
	})
}

func TestServeReportsABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	healthy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = httpapi.NewFront(httpapi.FrontOptions{}, httpapi.New(httpapi.Options{})).Serve(t.Context(), healthy, l)
	require.ErrorContains(t, err, "serve HTTP on "+l.Addr().String())
	_, err = net.Dial("tcp", healthy.Addr().String())
	require.Error(t, err, "the other listener is still open")
}

func TestReplaceDrainsTheServerBefore(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	first := httpapi.New(httpapi.Options{Routes: one(func(w http.ResponseWriter, _ *http.Request) error {
		entered <- struct{}{}
		<-finish
		w.WriteHeader(http.StatusAccepted)
		return nil
	})})
	next := httpapi.New(httpapi.Options{Routes: one(func(w http.ResponseWriter, _ *http.Request) error { return httpapi.Empty(w) })})
	get := func(f *httpapi.Front) int {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
		return w.Code
	}

	f := httpapi.NewFront(httpapi.FrontOptions{Grace: time.Minute}, first)
	running := make(chan int, 1)
	go func() { running <- get(f) }()
	<-entered
	drained := f.Replace(next)
	done := make(chan struct{})
	go func() {
		drained()
		close(done)
	}()
	for range 100 {
		require.Equal(t, http.StatusNoContent, get(f), "the next one answers while the first one drains")
	}
	select {
	case <-done:
		t.Fatal("the first one is not drained yet")
	default:
	}
	finish <- struct{}{}
	require.Equal(t, http.StatusAccepted, <-running)
	<-done

	impatient := httpapi.NewFront(httpapi.FrontOptions{Grace: time.Millisecond}, first)
	go func() { running <- get(impatient) }()
	<-entered
	impatient.Replace(next)() // returns, although the request does not end
	require.Equal(t, http.StatusNoContent, get(impatient))
	finish <- struct{}{}
	require.Equal(t, http.StatusAccepted, <-running, "and ends when it likes")
}

func TestDecodeJSONSpeaksOfTheBodyAndNotOfTypesHere(t *testing.T) {
	type body struct {
		Key      string            `json:"key"`
		Count    int               `json:"count"`
		Sure     bool              `json:"sure"`
		Metadata map[string]string `json:"metadata"`
		Options  struct {
			Concurrency string `json:"concurrency"`
		} `json:"options"`
	}
	for text, want := range map[string]string{
		`{}`:                                 "at byte 1: want array, got object",
		`[{"key":1}]`:                        "at byte 9, in key: want string, got number",
		`[{"count":"x"}]`:                    "at byte 13, in count: want number, got string",
		`[{"sure":null},{"sure":{}}]`:        "at byte 24, in sure: want bool, got object",
		`[{"metadata":[]}]`:                  "at byte 14, in metadata: want object, got array",
		`[{"metadata":{"a":1}}]`:             "at byte 19, in metadata: want string, got number",
		`[{"options":{"concurrency":true}}]`: "at byte 31, in options.concurrency: want string, got bool",
		`[{]`:                                "invalid character ']' looking for beginning of object key string",
	} {
		var v []body
		err := httpapi.DecodeJSON(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text)), &v)
		require.EqualError(t, err, "failed deserializing HTTP body: "+want, text)
	}
}
