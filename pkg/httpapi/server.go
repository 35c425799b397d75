package httpapi

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/apifilter"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Options are a server's choices. The zero value serves nothing, without limits.
type Options struct {
	// Routes are the operations, of all building blocks.
	Routes []Route
	// Fallback handles what has no route or another method: service invocation by
	// header. It counts as an operation of the group "invoke"; when it is nil or
	// not offered, such a request is a plain 404.
	Fallback HandlerFunc
	// Filter leaves out what the Configuration does not offer.
	Filter apifilter.Filter
	// Public serves only the public routes, without origins, token and pipeline.
	Public bool

	// MaxBody limits a request's body, in bytes; 0 does not.
	MaxBody int64
	// Origins are the CORS origins: "*" or a comma-separated list; empty is off.
	Origins string
	// Token, when set, must come with every request but health checks.
	Token string

	// Log gets failed calls; nil is none.
	Log *slog.Logger
	// APILog, when set, gets a line for every call.
	APILog *APILog
	// Metrics, when set, measure every call. Servers may share them.
	Metrics *Metrics
	// Errors counts the error codes; nil counts nothing.
	Errors *apierror.Counter

	// Tracing is the outermost layer, Pipeline the innermost: it holds the
	// middleware components. Both may be nil.
	Tracing, Pipeline func(http.Handler) http.Handler
}

// Server is the HTTP face of the API: what answers behind a Front.
type Server struct {
	root     node
	fallback Route
	handler  http.Handler
	log      *slog.Logger
	apiLog   *APILog
	errors   *apierror.Counter
}

// New returns a server. It panics when two routes overlap: routes are part of
// the program.
func New(o Options) *Server {
	s := &Server{
		fallback: Route{Group: "invoke", Version: "v1", Name: "InvokeService", Handler: o.Fallback},
		log:      o.Log,
		apiLog:   o.APILog,
		errors:   o.Errors,
	}
	if s.log == nil {
		s.log = telemetry.Discard()
	}
	if o.Fallback == nil || o.Public || !offered(s.fallback, o.Filter) {
		s.fallback = Route{Name: "NotFound", Handler: notFound}
	}
	fixed := make(map[string]bool)
	routes := Filter(o.Routes, o.Filter)
	for i := range routes {
		if o.Public && !routes[i].Public {
			continue
		}
		if err := s.root.add(&routes[i]); err != nil {
			panic("httpapi: " + err.Error())
		}
		if !strings.Contains(routes[i].Path, "{") {
			fixed[routes[i].Path] = true
		}
	}
	s.handler = s.chain(o, fixed)
	return s
}

// chain builds the layers once, outermost last; a layer that is off costs
// nothing.
func (s *Server) chain(o Options, fixed map[string]bool) http.Handler {
	var h http.Handler = http.HandlerFunc(s.dispatch)
	if !o.Public {
		if o.Pipeline != nil {
			h = o.Pipeline(h)
		}
		if o.Token != "" {
			h = s.requireToken(o.Token, h)
		}
		if o.Origins != "" {
			h = allowOrigins(o.Origins, h)
		}
	}
	if o.Metrics != nil {
		h = o.Metrics.measure(fixed, h)
	}
	if o.Tracing != nil {
		h = o.Tracing(h)
	}
	if o.MaxBody > 0 {
		h = limitBodies(o.MaxBody, h)
	}
	return h
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// dispatch is the innermost layer: the route's handler and its error.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	route := s.route(r)
	if s.apiLog != nil && s.apiLog.wants(route) {
		rec := record(w)
		defer rec.release()
		defer s.apiLog.write(rec, r, route, time.Now())
		w = rec
	}
	if err := route.Handler(w, r); err != nil {
		s.fail(w, r, route, err)
	}
}

func notFound(w http.ResponseWriter, r *http.Request) error {
	http.NotFound(w, r)
	return nil
}
