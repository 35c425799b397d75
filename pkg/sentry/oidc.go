package sentry

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// oidcOptions say how the keys of JWTs are published.
type oidcOptions struct {
	issuer       string // derived from the request when empty
	jwksURI      string // derived from the issuer when empty
	pathPrefix   string // "" or "/path"
	allowedHosts []string
	algorithm    string
	tls          bool
}

// newOIDC serves the discovery document and the keys that JWTs are checked with.
func newOIDC(o oidcOptions, k *keeper) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+o.pathPrefix+"/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, o.discovery(r.Host))
	})
	mux.HandleFunc("GET "+o.pathPrefix+"/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		s := k.current.Load()
		if s == nil {
			http.Error(w, "the keys are not loaded yet", http.StatusServiceUnavailable)
			return
		}
		writeJSON(w, json.RawMessage(s.material.JWKS))
	})
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if k.current.Load() == nil {
			http.Error(w, "not ready: the keys are not loaded yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	outer.Handle("/", o.onlyAllowedHosts(mux))
	return outer
}

type discovery struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Claims        []string `json:"claims_supported"`
}

func (o oidcOptions) discovery(host string) discovery {
	issuer := o.issuer
	if issuer == "" {
		scheme := "https"
		if !o.tls {
			scheme = "http"
		}
		issuer = scheme + "://" + host + o.pathPrefix
	}
	uri := o.jwksURI
	if uri == "" {
		uri = strings.TrimSuffix(issuer, "/") + "/jwks.json"
	}
	return discovery{
		Issuer: issuer, JWKSURI: uri, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: []string{o.algorithm}, Claims: []string{"sub", "iss", "aud", "exp", "iat", "nbf"},
	}
}

// onlyAllowedHosts answers only requests to a host that is allowed, so that the
// discovery document, which quotes the host, cannot be made to name another.
func (o oidcOptions) onlyAllowedHosts(h http.Handler) http.Handler {
	if len(o.allowedHosts) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			name = host
		}
		if !slices.Contains(o.allowedHosts, r.Host) && !slices.Contains(o.allowedHosts, name) {
			http.Error(w, "this host is not allowed: see --oidc-allowed-hosts", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the client is gone
}
