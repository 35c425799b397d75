package authority

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	stdpem "encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/dapr/kit/crypto/pem"

	"github.com/hyperdapr/dapr/pkg/security"
)

// Authority is a Bundle that can sign. It is safe for concurrent use.
type Authority struct {
	bundle  Bundle
	anchors []*x509.Certificate
	chain   []*x509.Certificate // the issuer first
	key     crypto.Signer
}

// Parse reads a bundle and checks that its parts belong together and are good at
// the time now. The error names the part.
func Parse(b Bundle, now time.Time) (*Authority, error) {
	if part := b.Missing(); part != "" {
		return nil, fmt.Errorf("%s is missing", part)
	}
	a := &Authority{bundle: b}
	var err error
	if a.anchors, err = pem.DecodePEMCertificates(b.Anchors); err != nil {
		return nil, fmt.Errorf("%s: %w", AnchorsKey, err)
	}
	if a.chain, err = pem.DecodePEMCertificates(b.Issuer); err != nil {
		return nil, fmt.Errorf("%s: %w", IssuerKey, err)
	}
	if a.key, err = ParseKey(b.Key); err != nil {
		return nil, fmt.Errorf("%s: %w", SecretKey, err)
	}
	issuer := a.chain[0]
	if same, err := pem.PublicKeysEqual(issuer.PublicKey, a.key.Public()); err != nil || !same {
		return nil, fmt.Errorf("%s is not the key of %s", SecretKey, IssuerKey)
	}
	if !issuer.IsCA || issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("%s is not the certificate of an authority: it may not sign", IssuerKey)
	}
	if now.After(issuer.NotAfter) {
		return nil, fmt.Errorf("%s has expired at %s: renew it with dapr mtls renew-certificate", IssuerKey, issuer.NotAfter.UTC().Format(time.RFC3339))
	}
	if _, err = a.verify(issuer, now); err != nil {
		return nil, fmt.Errorf("%s does not lead to a root in %s: %w", IssuerKey, AnchorsKey, err)
	}
	return a, nil
}

// ParseKey reads a private key in PEM: PKCS #8, SEC 1 or PKCS #1. The error
// quotes nothing of it.
func ParseKey(data []byte) (crypto.Signer, error) {
	block, _ := stdpem.Decode(data)
	if block == nil {
		return nil, errNoKey
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errNoKey
	}
	return signer, nil
}

var errNoKey = errors.New("it is not a private key in PEM that can sign")

// verify returns the ways from a certificate to a root.
func (a *Authority) verify(c *x509.Certificate, now time.Time, more ...*x509.Certificate) ([][]*x509.Certificate, error) {
	return c.Verify(x509.VerifyOptions{
		Roots: pool(a.anchors), Intermediates: pool(slices.Concat(a.chain, more)), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
}

// Bundle returns what the authority was parsed from.
func (a *Authority) Bundle() Bundle { return a.bundle }

// Anchors returns the roots. The caller may not change them.
func (a *Authority) Anchors() []*x509.Certificate { return a.anchors }

// Expires is when the issuer's certificate does.
func (a *Authority) Expires() time.Time { return a.chain[0].NotAfter }

// Request is what a certificate is signed for.
type Request struct {
	ID     security.ID
	Public crypto.PublicKey
	// DNSNames are further names of a server.
	DNSNames []string
	// Now is the beginning, ClockSkew how much earlier the certificate is good,
	// and TTL how long it is from Now.
	Now            time.Time
	ClockSkew, TTL time.Duration
}

// Sign makes a certificate, and returns it with what leads from it to a root. It
// ends with the issuer's at the latest.
func (a *Authority) Sign(r Request) ([]*x509.Certificate, error) {
	if err := r.ID.Validate(); err != nil {
		return nil, err
	}
	if r.TTL <= 0 {
		return nil, errors.New("the lifetime of a certificate must be above zero")
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{r.ID.TrustDomain}},
		URIs:                  []*url.URL{r.ID.URL()},
		DNSNames:              r.DNSNames,
		NotBefore:             r.Now.Add(-r.ClockSkew),
		NotAfter:              earlier(r.Now.Add(r.TTL), a.Expires()),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	leaf, err := sign(template, a.chain[0], r.Public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", r.ID, err)
	}
	return slices.Concat([]*x509.Certificate{leaf}, a.chain), nil
}

// vouch certifies the next issuer's key, and returns what leads from that to a
// root of this authority. It is nothing when this authority's issuer may sign no
// other: who knows only its roots must learn the next one first.
func (a *Authority) vouch(next *x509.Certificate, key crypto.Signer, o Options) ([]*x509.Certificate, error) {
	cross, err := sign(&x509.Certificate{
		Subject:               next.Subject,
		URIs:                  next.URIs,
		NotBefore:             next.NotBefore,
		NotAfter:              earlier(next.NotAfter, a.Expires()),
		KeyUsage:              next.KeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, a.chain[0], next.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("certify the next issuer: %w", err)
	}
	// What counts is whether a certificate below it is good.
	probe, err := sign(&x509.Certificate{NotBefore: o.Now, NotAfter: cross.NotAfter}, cross, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certify the next issuer: %w", err)
	}
	paths, err := a.verify(probe, o.Now, cross)
	if err != nil {
		return nil, nil //nolint:nilerr // it may not vouch, which is no mistake
	}
	return paths[0][1 : len(paths[0])-1], nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
