package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/httpapi"
)

// routes returns routes that answer with their name and their parameters.
func routes(specs ...string) []httpapi.Route {
	var out []httpapi.Route
	for _, spec := range specs {
		methods, path, _ := strings.Cut(spec, " ")
		route := httpapi.Route{Path: path, Group: "state", Version: "v1", Name: path}
		if methods != "*" {
			route.Methods = strings.Split(methods, ",")
		}
		route.Handler = func(w http.ResponseWriter, r *http.Request) error {
			answer := spec
			for segment := range strings.SplitSeq(path, "/") {
				if name, ok := strings.CutPrefix(segment, "{"); ok {
					name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
					answer += "|" + httpapi.Param(r, name)
				}
			}
			_, err := io.WriteString(w, answer)
			return err
		}
		out = append(out, route)
	}
	return out
}

func fallback(w http.ResponseWriter, r *http.Request) error {
	_, err := io.WriteString(w, "fallback "+r.URL.EscapedPath())
	return err
}

func call(h http.Handler, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec
}

func TestRouting(t *testing.T) {
	h := httpapi.New(httpapi.Options{Fallback: fallback, Routes: routes(
		"GET /v1.0/state/{store}/{key}",
		"DELETE /v1.0/state/{store}/{key}",
		"POST,PUT /v1.0/state/{store}",
		"POST /v1.0/state/{store}/bulk",
		"GET /v1.0/metadata",
		"POST /v1.0/publish/bulk/{pubsub}/{topic...}",
		"POST /v1.0/publish/{pubsub}/{topic...}",
		"* /v1.0/invoke/{rest...}",
		"GET /v1.0/jobs/{name}/",
	)})
	for _, tc := range []struct{ method, target, want string }{
		{"GET", "/v1.0/metadata", "GET /v1.0/metadata"},
		{"GET", "/v1.0/state/redis/order", "GET /v1.0/state/{store}/{key}|redis|order"},
		{"DELETE", "/v1.0/state/redis/order", "DELETE /v1.0/state/{store}/{key}|redis|order"},
		{"PUT", "/v1.0/state/redis", "POST,PUT /v1.0/state/{store}|redis"},
		// A fixed segment wins, for its methods; for another it is a value.
		{"POST", "/v1.0/state/redis/bulk", "POST /v1.0/state/{store}/bulk|redis"},
		{"GET", "/v1.0/state/redis/bulk", "GET /v1.0/state/{store}/{key}|redis|bulk"},
		{"POST", "/v1.0/publish/bulk/kafka/orders", "POST /v1.0/publish/bulk/{pubsub}/{topic...}|kafka|orders"},
		{"POST", "/v1.0/publish/kafka/a/b/c", "POST /v1.0/publish/{pubsub}/{topic...}|kafka|a/b/c"},
		{"POST", "/v1.0/publish/kafka/", "POST /v1.0/publish/{pubsub}/{topic...}|kafka|"},
		{"POST", "/v1.0/publish/kafka", "fallback /v1.0/publish/kafka"},
		// Values are unescaped as a query is.
		{"GET", "/v1.0/state/redis/a%2Fb", "GET /v1.0/state/{store}/{key}|redis|a/b"},
		{"GET", "/v1.0/state/redis/a+b%20c%2Bd", "GET /v1.0/state/{store}/{key}|redis|a b c+d"},
		{"GET", "/v1.0/state/redis/100%25", "GET /v1.0/state/{store}/{key}|redis|100%"},
		{"GET", "/v1.0/state/redis/%C3%BC%7C%7Cx", "GET /v1.0/state/{store}/{key}|redis|ü||x"},
		{"GET", "/v1.0/state/redis/ü", "GET /v1.0/state/{store}/{key}|redis|ü"},
		// Paths are cleaned.
		{"GET", "//v1.0//state/redis///order", "GET /v1.0/state/{store}/{key}|redis|order"},
		{"GET", "/v1.0/x/../state/./redis/order", "GET /v1.0/state/{store}/{key}|redis|order"},
		{"GET", "/../../v1.0/metadata", "GET /v1.0/metadata"},
		{"GET", "/v1.0/state/redis/..hidden", "GET /v1.0/state/{store}/{key}|redis|..hidden"},
		{"POST", "/v1.0/invoke/app/method/a/../b/", "* /v1.0/invoke/{rest...}|app/method/b/"},
		// A trailing slash matters only where a route has one.
		{"GET", "/v1.0/metadata/", "GET /v1.0/metadata"},
		{"GET", "/v1.0/state/redis/order/", "GET /v1.0/state/{store}/{key}|redis|order"},
		{"POST", "/v1.0/state/redis/", "POST,PUT /v1.0/state/{store}|redis"},
		{"GET", "/v1.0/jobs/nightly/", "GET /v1.0/jobs/{name}/|nightly"},
		{"GET", "/v1.0/jobs/nightly", "fallback /v1.0/jobs/nightly"},
		// Everything else is for the fallback, with the path as it came.
		{"POST", "/v1.0/metadata", "fallback /v1.0/metadata"},
		{"GET", "/neworder//x%2Fy", "fallback /neworder//x%2Fy"},
		{"GET", "/", "fallback /"},
		{"BREW", "/v1.0/invoke/app", "* /v1.0/invoke/{rest...}|app"},
	} {
		t.Run(tc.method+" "+tc.target, func(t *testing.T) {
			require.Equal(t, tc.want, call(h, tc.method, tc.target).Body.String())
		})
	}
}

func TestRawParam(t *testing.T) {
	var raw string
	h := httpapi.New(httpapi.Options{Routes: []httpapi.Route{{
		Path: "/v1.0/invoke/{app}/method/{path...}",
		Handler: func(_ http.ResponseWriter, r *http.Request) error {
			raw = httpapi.RawParam(r, "app") + " " + httpapi.RawParam(r, "path")
			require.Empty(t, httpapi.RawParam(r, "other"))
			return nil
		},
	}}})
	call(h, "GET", "/v1.0/invoke/a%2Eb/method/x%2Fy/%20z?q=1")
	require.Equal(t, "a%2Eb x%2Fy/%20z", raw)
}

func TestNoFallback(t *testing.T) {
	rec := call(httpapi.New(httpapi.Options{}), "GET", "/v1.0/nothing")
	require.Equal(t, http.StatusNotFound, rec.Code)
	require.Equal(t, "404 page not found\n", rec.Body.String())
}

func TestOverlappingRoutesPanic(t *testing.T) {
	for _, pair := range [][]string{
		{"GET /a/{b}", "GET,PUT /a/{c}"},
		{"* /a/{b...}", "GET /a/{c...}"},
	} {
		require.Panics(t, func() { httpapi.New(httpapi.Options{Routes: routes(pair...)}) })
	}
}

func TestQuery(t *testing.T) {
	for _, tc := range []struct {
		query    string
		first    string
		metadata map[string]string
	}{
		{"", "", nil},
		{"a=1", "1", nil},
		{"a=1&a=2&metadata.ttl=5&metadata.ttl=6", "1", map[string]string{"ttl": "5"}},
		{"metadata.x=a+b%26c&metadata%2Ey=&a=x%3Dy", "x=y", map[string]string{"x": "a b&c", "y": ""}},
		{"metadata.a.b=c&&=x&a=%zz&a=ok", "ok", map[string]string{"a.b": "c"}},
		{"metadata=1&a", "", nil},
	} {
		t.Run(tc.query, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/?"+tc.query, nil)
			require.Equal(t, tc.first, httpapi.Query(r, "a"))
			require.Equal(t, tc.metadata, httpapi.Metadata(r))
		})
	}
}

func TestNoQueryCostsNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/v1.0/state/redis/order", nil)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		httpapi.Metadata(r)
		httpapi.Query(r, "consistency")
	}))
}
