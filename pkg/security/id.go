// Package security is who a process is and whom it trusts: SPIFFE ids, trust
// anchors, certificates from the protocol's certificate authority, renewed while
// they are in use, TLS in both directions, and the policy of who may call what.
package security

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// DefaultTrustDomain is that of apps whose Configuration names none.
const DefaultTrustDomain = "public"

// App ids of the control plane's services.
const (
	Operator  = "dapr-operator"
	Injector  = "dapr-injector"
	Sentry    = "dapr-sentry"
	Placement = "dapr-placement"
	Scheduler = "dapr-scheduler"
)

// ID is who a process is, proved by its certificate: an app or a service of the
// control plane. It is comparable.
type ID struct {
	TrustDomain, Namespace, AppID string
}

// ParseID reads "spiffe://TRUST-DOMAIN/ns/NAMESPACE/APP-ID".
func ParseID(s string) (ID, error) {
	id, err := spiffeid.FromString(s)
	if err != nil {
		return ID{}, fmt.Errorf("id %q: %w", s, err)
	}
	return fromSPIFFE(id)
}

func fromSPIFFE(id spiffeid.ID) (ID, error) {
	parts := strings.Split(id.Path(), "/")
	if len(parts) != 4 || parts[1] != "ns" {
		return ID{}, fmt.Errorf("id %q is not of the form spiffe://trust-domain/ns/namespace/app-id", id)
	}
	return ID{TrustDomain: id.TrustDomain().Name(), Namespace: parts[2], AppID: parts[3]}, nil
}

// String returns the id as a URI; ParseID reads it.
func (id ID) String() string {
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/" + id.AppID
}

// Validate tells which part of the id is missing or has a character that a
// certificate cannot carry.
func (id ID) Validate() error {
	for _, part := range []struct{ name, value string }{
		{"trust domain", id.TrustDomain}, {"namespace", id.Namespace}, {"app id", id.AppID},
	} {
		if part.value == "" {
			return fmt.Errorf("the %s is missing", part.name)
		}
	}
	if _, err := spiffeid.TrustDomainFromString(id.TrustDomain); err != nil || strings.Contains(id.TrustDomain, "/") {
		return fmt.Errorf("trust domain %q: use lower-case letters, digits, dots, dashes and underscores", id.TrustDomain)
	}
	for _, part := range []struct{ name, value string }{{"namespace", id.Namespace}, {"app id", id.AppID}} {
		if spiffeid.ValidatePathSegment(part.value) != nil {
			return fmt.Errorf("%s %q: use letters, digits, dots, dashes and underscores", part.name, part.value)
		}
	}
	return nil
}

// URL returns the id as it stands in a certificate.
func (id ID) URL() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain, Path: "/ns/" + id.Namespace + "/" + id.AppID}
}

// PeerID returns who is at the other end of a call, as its certificate proved;
// false when the connection is not one of this package's.
func PeerID(ctx context.Context) (ID, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ID{}, false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ID{}, false
	}
	return ConnectionID(info.State)
}

// ConnectionID is PeerID of a connection.
func ConnectionID(state tls.ConnectionState) (ID, bool) {
	if len(state.PeerCertificates) == 0 {
		return ID{}, false
	}
	id, err := x509svid.IDFromCert(state.PeerCertificates[0])
	if err != nil {
		return ID{}, false
	}
	parsed, err := fromSPIFFE(id)
	return parsed, err == nil
}
