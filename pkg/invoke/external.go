package invoke

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/hyperdapr/dapr/pkg/app"
)

// Endpoint is an HTTP server outside that is called by a name.
type Endpoint struct {
	Name string
	// BaseURL is what a method is appended to.
	BaseURL string
	// Headers are set in each request. They may hold secrets.
	Headers map[string]string
	// TLS is the client's side of it; nil is the system's defaults.
	TLS *tls.Config
}

type endpoint struct {
	base      *url.URL
	header    http.Header
	transport *http.Transport
}

// SetEndpoint adds or replaces an endpoint. An error says what is wrong with it.
func (b *Block) SetEndpoint(e Endpoint) error {
	endpoint, err := newEndpoint(e)
	if err != nil {
		return err
	}
	if old, replaced := b.endpoints.Put(e.Name, endpoint); replaced {
		old.transport.CloseIdleConnections()
	}
	return nil
}

// PendEndpoint records that an endpoint is declared but cannot be called yet,
// and why.
func (b *Block) PendEndpoint(name string, reason error) { b.endpoints.Pend(name, reason) }

func newEndpoint(e Endpoint) (*endpoint, error) {
	base, err := url.Parse(e.BaseURL)
	if err != nil || !isURL(e.BaseURL) || base.Host == "" {
		return nil, fmt.Errorf("HTTP endpoint %s: baseUrl %q is not a URL like https://host:port", e.Name, e.BaseURL)
	}
	out := &endpoint{base: base, header: make(http.Header, len(e.Headers)), transport: newTransport(e.TLS)}
	for name, value := range e.Headers {
		out.header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
	}
	return out, nil
}

// newTransport returns a client for servers outside, through the proxy that the
// environment names.
func newTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
}

func (e *endpoint) invoke(ctx context.Context, req *app.Request) (*app.Response, error) {
	for name, values := range e.header {
		req.Header[name] = values
	}
	return app.RoundTrip(ctx, e.transport, join(e.base, req), req)
}

func (b *Block) invokeURL(ctx context.Context, target string, req *app.Request) (*app.Response, error) {
	base, err := url.Parse(target)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("target %q is not a URL like https://host:port", target)
	}
	return app.RoundTrip(ctx, b.urls, join(base, req), req)
}

// join appends the method, which stays one path below the base's.
func join(base *url.URL, req *app.Request) *url.URL {
	return &url.URL{
		Scheme: base.Scheme, Host: base.Host, User: base.User,
		Path: strings.TrimSuffix(base.Path, "/") + "/" + req.Path, RawQuery: req.Query,
	}
}
