package httpapi

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
)

// tokenHeader is the API token's header, in canonical form.
const tokenHeader = "Dapr-Api-Token"

// requireToken refuses requests without the token and hides it from what lies
// behind, so that it does not leak to another app.
func (s *Server) requireToken(token string, next http.Handler) http.Handler {
	want := []byte(token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get(tokenHeader)
		if subtle.ConstantTimeCompare([]byte(got), want) != 1 && !s.route(r).AlwaysAllowed {
			http.Error(w, "invalid api token", http.StatusUnauthorized)
			return
		}
		delete(r.Header, tokenHeader)
		next.ServeHTTP(w, r)
	})
}

func limitBodies(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limitBody(r, limit)
		next.ServeHTTP(w, r)
	})
}

// corsMethods are what a page of an allowed origin may call with.
var corsMethods = []string{http.MethodHead, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// allowOrigins answers browsers that ask whether a page may call the API, and
// marks answers for allowed origins. It does not refuse anything: that is the
// browser's part.
func allowOrigins(list string, next http.Handler) http.Handler {
	var origins []string
	for origin := range strings.SplitSeq(list, ",") {
		origins = append(origins, strings.TrimSpace(origin))
	}
	all := slices.Contains(origins, "*")
	methods := strings.Join(corsMethods, ", ")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if !all {
			h.Add("Vary", "Origin")
		}
		origin := r.Header.Get("Origin")
		wanted := r.Header.Get("Access-Control-Request-Method")
		preflight := origin != "" && wanted != "" && r.Method == http.MethodOptions

		allowed := origin != "" && (all || slices.Contains(origins, origin))
		if preflight && !slices.Contains(corsMethods, wanted) {
			allowed = false
		}
		if allowed {
			if all {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
		}
		if !preflight {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Access-Control-Request-Method")
		h.Add("Vary", "Access-Control-Request-Headers")
		if allowed {
			h.Set("Access-Control-Allow-Methods", methods)
			if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
				h.Set("Access-Control-Allow-Headers", headers)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
