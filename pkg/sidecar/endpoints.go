package sidecar

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/hyperdapr/dapr/pkg/invoke"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// openEndpoints gives the invocation block every HTTPEndpoint. One whose secret
// store is not open yet is tried again until the context ends, as components
// are; any other mistake is an error, for trying again would not mend it.
func (g *generation) openEndpoints(ctx context.Context) error {
	left := g.set.endpoints
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		var waiting []*resource.HTTPEndpoint
		var errs []error
		for _, e := range left {
			err := g.openEndpoint(ctx, e)
			switch {
			case errors.Is(err, resource.ErrNoSecretStore):
				waiting = append(waiting, e)
				g.blocks.invoke.PendEndpoint(e.Name(), err)
				g.ready.set("HTTP endpoint "+e.Name(), err.Error())
			case err != nil:
				errs = append(errs, err)
			default:
				g.ready.set("HTTP endpoint "+e.Name(), "")
			}
		}
		if err := errors.Join(errs...); err != nil || len(waiting) == 0 {
			return err
		}
		left = waiting
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (g *generation) openEndpoint(ctx context.Context, e *resource.HTTPEndpoint) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	resolved, err := e.Resolve(ctx, g.s.env(g.blocks.secret.Resolve))
	if err != nil {
		return err
	}
	out, err := endpointOf(resolved)
	if err != nil {
		return err
	}
	return g.blocks.invoke.SetEndpoint(out)
}

// endpointOf makes what the invocation block needs out of a resolved resource.
func endpointOf(r resource.Endpoint) (invoke.Endpoint, error) {
	e := invoke.Endpoint{Name: r.Name, BaseURL: r.BaseURL, Headers: map[string]string{}}
	for name := range r.Header {
		e.Headers[name] = r.Header.Get(name)
	}
	if r.RootCA == "" && r.Certificate == "" && r.PrivateKey == "" && r.Renegotiation == "" {
		return e, nil
	}
	e.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	switch r.Renegotiation {
	case "OnceAsClient":
		e.TLS.Renegotiation = tls.RenegotiateOnceAsClient
	case "FreelyAsClient":
		e.TLS.Renegotiation = tls.RenegotiateFreelyAsClient
	}
	if r.RootCA != "" {
		e.TLS.RootCAs = x509.NewCertPool()
		if !e.TLS.RootCAs.AppendCertsFromPEM([]byte(r.RootCA)) {
			return e, fmt.Errorf("HTTP endpoint %s: clientTLS.rootCA holds no PEM certificate", r.Name)
		}
	}
	if r.Certificate != "" || r.PrivateKey != "" {
		pair, err := tls.X509KeyPair([]byte(r.Certificate), []byte(r.PrivateKey))
		if err != nil {
			return e, fmt.Errorf("HTTP endpoint %s: clientTLS.certificate and clientTLS.privateKey: %w", r.Name, err)
		}
		e.TLS.Certificates = []tls.Certificate{pair}
	}
	return e, nil
}
