package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// HTTPEndpoint names an HTTP service outside, to be invoked like an app.
type HTTPEndpoint struct {
	Header
	Spec HTTPEndpointSpec `json:"spec"`
	Auth Auth             `json:"auth,omitzero"`
}

// HTTPEndpointSpec is the spec of an HTTPEndpoint.
type HTTPEndpointSpec struct {
	// BaseURL is what the method's path is appended to.
	BaseURL string `json:"baseUrl"`
	// Headers are added to every request.
	Headers   []NameValuePair `json:"headers,omitempty"`
	ClientTLS *ClientTLS      `json:"clientTLS,omitempty"`
}

// ClientTLS is how to prove and check identity; the three files are PEM text.
type ClientTLS struct {
	RootCA      *TLSDocument `json:"rootCA,omitempty"`
	Certificate *TLSDocument `json:"certificate,omitempty"`
	PrivateKey  *TLSDocument `json:"privateKey,omitempty"`
	// Renegotiation is Never, OnceAsClient or FreelyAsClient.
	Renegotiation string `json:"renegotiation,omitempty"`
}

// TLSDocument is PEM text or where it is kept.
type TLSDocument struct {
	// Value is the PEM text.
	Value        *Value        `json:"value,omitempty"`
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`
}

func (e *HTTPEndpoint) validate(d *decoder) {
	d.require("spec.baseUrl", e.Spec.BaseURL != "")
	if u, err := url.Parse(e.Spec.BaseURL); e.Spec.BaseURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		d.problem("spec.baseUrl", `%q is not a URL such as "https://api.example.com"`, e.Spec.BaseURL)
	}
	validatePairs(d, "spec.headers", e.Spec.Headers)
	if e.Spec.ClientTLS != nil {
		d.oneOf("spec.clientTLS.renegotiation", e.Spec.ClientTLS.Renegotiation, "Never", "OnceAsClient", "FreelyAsClient")
	}
}

// tlsPairs are the TLS documents that are set, under their field names.
func (e *HTTPEndpoint) tlsPairs() []NameValuePair {
	t := e.Spec.ClientTLS
	if t == nil {
		return nil
	}
	var pairs []NameValuePair
	for _, doc := range []struct {
		name string
		*TLSDocument
	}{{"rootCA", t.RootCA}, {"certificate", t.Certificate}, {"privateKey", t.PrivateKey}} {
		if doc.TLSDocument != nil {
			pairs = append(pairs, NameValuePair{Name: doc.name, Value: doc.Value, SecretKeyRef: doc.SecretKeyRef})
		}
	}
	return pairs
}

// SecretStore is the store that must be open before Resolve; see
// Component.SecretStore.
func (e *HTTPEndpoint) SecretStore(fallback string) string {
	if !slices.ContainsFunc(append(e.tlsPairs(), e.Spec.Headers...), NameValuePair.needsSecret) {
		return ""
	}
	return e.Auth.storeOr(fallback)
}

// Endpoint is an HTTPEndpoint whose references are resolved. It can hold
// secrets: never log it.
type Endpoint struct {
	Name    string
	BaseURL string
	Header  http.Header
	// RootCA, Certificate and PrivateKey are PEM text, empty when not set.
	RootCA, Certificate, PrivateKey string
	// Renegotiation is as in ClientTLS; empty means Never.
	Renegotiation string
}

// Resolve replaces references and templates by their values; its errors are
// like those of Component.Resolve.
func (e *HTTPEndpoint) Resolve(ctx context.Context, env Env) (Endpoint, error) {
	resolved := Endpoint{Name: e.Name(), BaseURL: e.Spec.BaseURL, Header: make(http.Header)}
	r := newResolver(env, e.Auth)
	headers := r.all(ctx, "header", e.Spec.Headers, func(p NameValuePair, value string) {
		resolved.Header.Add(p.Name, value)
	})
	tls := r.all(ctx, "clientTLS", e.tlsPairs(), func(p NameValuePair, value string) {
		switch p.Name {
		case "rootCA":
			resolved.RootCA = value
		case "certificate":
			resolved.Certificate = value
		case "privateKey":
			resolved.PrivateKey = value
		}
	})
	if e.Spec.ClientTLS != nil {
		resolved.Renegotiation = e.Spec.ClientTLS.Renegotiation
	}
	if err := errors.Join(headers, tls); err != nil {
		return Endpoint{}, fmt.Errorf("HTTP endpoint %s: %w", e.Name(), err)
	}
	return resolved, nil
}
