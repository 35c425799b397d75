package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// tokenHeader carries Options.Token.
const tokenHeader = "Dapr-Api-Token"

// httpApp is an app that speaks HTTP/1.1 or HTTP/2, with or without TLS.
type httpApp struct {
	scheme, address string
	token           []string
	health          string
	transport       *http.Transport
}

func newHTTPApp(o Options, address string) *httpApp {
	a := &httpApp{scheme: "http", address: address, transport: newTransport(o.Protocol)}
	if o.Protocol.secure() {
		a.scheme = "https"
	}
	if o.Token != "" {
		a.token = []string{o.Token}
	}
	if o.Health != nil {
		a.health = o.Health.Path
	}
	return a
}

func newTransport(p Protocol) *http.Transport {
	t := &http.Transport{
		DialContext: dial,
		// The app's bytes pass through as they are.
		DisableCompression: true,
		// The one host is the app: keep as many connections as it ever needed.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 10,
		IdleConnTimeout:     90 * time.Second,
		Protocols:           new(http.Protocols),
	}
	switch p {
	case H2C:
		t.Protocols.SetUnencryptedHTTP2(true)
	case HTTPS:
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		// The app's certificate is for others: between the app and its own
		// sidecar the protocol accepts any, mostly self-signed ones.
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	default:
		t.Protocols.SetHTTP1(true)
	}
	return t
}

func (a *httpApp) close() error {
	a.transport.CloseIdleConnections()
	return nil
}

func (a *httpApp) invoke(ctx context.Context, req *Request) (*Response, error) {
	if a.token != nil {
		req.Header[tokenHeader] = a.token
	}
	return RoundTrip(ctx, a.transport, &url.URL{Scheme: a.scheme, Host: a.address, Path: "/" + req.Path, RawQuery: req.Query}, req)
}

// RoundTrip sends a call as an HTTP request to any server. It owns the
// request's header. Hop-by-hop headers of the answer are removed.
func RoundTrip(ctx context.Context, rt http.RoundTripper, to *url.URL, req *Request) (*Response, error) {
	// Without a value of its own, the transport would add Go's.
	if _, set := req.Header["User-Agent"]; !set {
		req.Header["User-Agent"] = noUserAgent
	}
	out := (&http.Request{
		Method:        req.Verb,
		URL:           to,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        req.Header,
		ContentLength: req.ContentLength,
		Host:          to.Host,
	}).WithContext(ctx)
	if out.Method == "" {
		out.Method = http.MethodPost
	}
	if req.Body != nil {
		out.Body = io.NopCloser(req.Reader())
	} else if len(req.Data) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(req.Data))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Data)), nil }
	}
	resp, err := rt.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	return fromHTTP(resp)
}

var noUserAgent = []string{""}

// fromHTTP reads a small body of known length at once, which frees the
// connection and lets the answer travel in one piece.
func fromHTTP(in *http.Response) (*Response, error) {
	RemoveHopByHop(in.Header)
	resp := &Response{Status: in.StatusCode, Header: in.Header, Trailer: in.Trailer, Body: in.Body}
	if in.ContentLength < 0 || in.ContentLength > SmallBody {
		return resp, nil
	}
	resp.Body = nil
	defer in.Body.Close()
	if in.ContentLength > 0 && in.Request.Method != http.MethodHead {
		resp.Data = make([]byte, in.ContentLength)
		if _, err := io.ReadFull(in.Body, resp.Data); err != nil {
			return nil, fmt.Errorf("read the app's response: %w", err)
		}
	}
	return resp, nil
}

// probe is one health check: any 2xx is healthy.
func (a *httpApp) probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.scheme+"://"+a.address+a.health, nil)
	if err != nil {
		return err
	}
	if a.token != nil {
		req.Header[tokenHeader] = a.token
	}
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("GET %s answered %s", a.health, resp.Status)
	}
	return nil
}
