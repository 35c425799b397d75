package security

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc/credentials"
)

// Expect decides whether a server is the one that was meant.
type Expect func(ID) error

// Exactly expects a service of the control plane.
func Exactly(want ID) Expect {
	return func(got ID) error {
		if got != want {
			return fmt.Errorf("the server is %s, not %s", got, want)
		}
		return nil
	}
}

// App expects the sidecar of an app. Its trust domain is its own affair: who
// calls it need not know it, and every trust domain has the same anchors.
func App(namespace, appID string) Expect {
	return func(got ID) error {
		if got.Namespace != namespace || got.AppID != appID {
			return fmt.Errorf("the server is %s, not app %q of namespace %q", got, appID, namespace)
		}
		return nil
	}
}

func (e Expect) authorize(id spiffeid.ID, _ [][]*x509.Certificate) error {
	got, err := fromSPIFFE(id)
	if err != nil {
		return err
	}
	return e(got)
}

// anyone is every process with a certificate that leads to the anchors.
func anyone(ID) error { return nil }

// ServerConfig is TLS for a server whose clients prove who they are: PeerID and
// ConnectionID tell. A certificate that the source replaces is used from the
// next connection on; those that exist stay.
func ServerConfig(own x509svid.Source, anchors x509bundle.Source) *tls.Config {
	return strict(tlsconfig.MTLSServerConfig(own, anchors, Expect(anyone).authorize))
}

// OpenServerConfig is TLS for a server whose clients need no certificate, such
// as a webhook of the Kubernetes API server.
func OpenServerConfig(own x509svid.Source) *tls.Config {
	c := strict(tlsconfig.TLSServerConfig(own))
	c.MinVersion = tls.VersionTLS12 // what calls webhooks may be older
	return c
}

// ClientConfig is TLS for a client that proves who it is and checks whom it has
// reached.
func ClientConfig(own x509svid.Source, anchors x509bundle.Source, e Expect) *tls.Config {
	return strict(tlsconfig.MTLSClientConfig(own, anchors, e.authorize))
}

// anonymousConfig is TLS for a client that has no certificate yet.
func anonymousConfig(anchors x509bundle.Source, e Expect) *tls.Config {
	return strict(tlsconfig.TLSClientConfig(anchors, e.authorize))
}

// strict makes every connection a full handshake of TLS 1.3: a resumed one would
// not check the other's certificate again.
func strict(c *tls.Config) *tls.Config {
	c.MinVersion = tls.VersionTLS13
	c.SessionTicketsDisabled = true
	return c
}

// ServerCredentials secure a gRPC server: see ServerConfig.
func (p *Provider) ServerCredentials() credentials.TransportCredentials {
	return credentials.NewTLS(ServerConfig(p, p.o.Anchors))
}

// ClientCredentials secure a gRPC client: see ClientConfig.
func (p *Provider) ClientCredentials(e Expect) credentials.TransportCredentials {
	return credentials.NewTLS(ClientConfig(p, p.o.Anchors, e))
}
