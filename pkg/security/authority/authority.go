// Package authority is the certificate authority's material and what is done
// with it: making a root and an issuer, replacing them without anybody noticing,
// and signing certificates. It is pure: where the material is kept is others'
// affair.
package authority

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"time"

	"github.com/dapr/kit/crypto/pem"

	"github.com/hyperdapr/dapr/pkg/security"
)

// Names of the parts of a Bundle: keys in a Secret or file names.
const (
	AnchorsKey = "ca.crt"
	IssuerKey  = "issuer.crt"
	SecretKey  = "issuer.key"
)

// Lifetime is how long a root and its issuer are good when nothing else is
// asked for.
const Lifetime = 365 * 24 * time.Hour

// Bundle is the material in PEM, as it is kept.
type Bundle struct {
	// Anchors are the roots.
	Anchors []byte
	// Issuer is the certificate that signs, and what leads from it to the roots.
	Issuer []byte
	// Key is the issuer's private key.
	Key []byte
}

// Missing names a part that the bundle does not have, or nothing.
func (b Bundle) Missing() string {
	for _, part := range []struct {
		name string
		data []byte
	}{{AnchorsKey, b.Anchors}, {IssuerKey, b.Issuer}, {SecretKey, b.Key}} {
		if len(bytes.TrimSpace(part.data)) == 0 {
			return part.name
		}
	}
	return ""
}

// Empty tells whether the bundle has no part at all.
func (b Bundle) Empty() bool {
	return len(bytes.TrimSpace(slices.Concat(b.Anchors, b.Issuer, b.Key))) == 0
}

// Equal tells whether two bundles are the same, byte by byte.
func (b Bundle) Equal(o Bundle) bool {
	return bytes.Equal(b.Anchors, o.Anchors) && bytes.Equal(b.Issuer, o.Issuer) && bytes.Equal(b.Key, o.Key)
}

// Options say how material is made.
type Options struct {
	// ID is the certificate authority's own; the issuer carries it.
	ID security.ID
	// Now is the beginning; ClockSkew is how much earlier the certificates are
	// good already, for clocks that are late.
	Now       time.Time
	ClockSkew time.Duration
	// Lifetime of root and issuer; the constant Lifetime when 0.
	Lifetime time.Duration
	// RootKey is the root's private key, for who keeps it; nil makes one that is
	// thrown away.
	RootKey crypto.Signer
}

func (o Options) notAfter() time.Time {
	if o.Lifetime == 0 {
		return o.Now.Add(Lifetime)
	}
	return o.Now.Add(o.Lifetime)
}

// New makes a root and an issuer signed by it.
func New(o Options) (Bundle, error) {
	root, issuer, key, err := generate(o)
	if err != nil {
		return Bundle{}, err
	}
	return encode([]*x509.Certificate{root}, []*x509.Certificate{issuer}, key)
}

// Rotate makes a new root and a new issuer and keeps the old roots that are
// still good beside the new one. The new issuer is certified by the old one too,
// so that who knows only an old root trusts it from the first moment. Drop the
// old roots, with Prune, when everybody has renewed.
func Rotate(old Bundle, o Options) (Bundle, error) {
	a, err := Parse(old, o.Now)
	if err != nil {
		return Bundle{}, fmt.Errorf("the material in use: %w", err)
	}
	root, issuer, key, err := generate(o)
	if err != nil {
		return Bundle{}, err
	}
	vouched, err := a.vouch(issuer, key, o)
	if err != nil {
		return Bundle{}, err
	}
	chain := append([]*x509.Certificate{issuer}, vouched...)
	anchors := []*x509.Certificate{root}
	for _, c := range a.anchors {
		if c.NotAfter.After(o.Now) {
			anchors = append(anchors, c)
		}
	}
	return encode(anchors, chain, key)
}

// Prune drops the roots and intermediates that the issuer does not need.
func Prune(b Bundle, now time.Time) (Bundle, error) {
	a, err := Parse(b, now)
	if err != nil {
		return Bundle{}, err
	}
	for _, root := range a.anchors {
		if a.chain[0].CheckSignatureFrom(root) == nil {
			return encode([]*x509.Certificate{root}, a.chain[:1], a.key)
		}
	}
	return Bundle{}, errors.New("the issuer is not signed by a root itself: the chain must be pruned by hand")
}

func generate(o Options) (root, issuer *x509.Certificate, key crypto.Signer, err error) {
	rootKey := o.RootKey
	if rootKey == nil {
		if rootKey, err = newKey(); err != nil {
			return nil, nil, nil, err
		}
	}
	if key, err = newKey(); err != nil {
		return nil, nil, nil, err
	}
	root, err = sign(o.template("root", 2), nil, rootKey.Public(), rootKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("root certificate: %w", err)
	}
	template := o.template("issuer", 1)
	template.URIs = []*url.URL{o.ID.URL()}
	issuer, err = sign(template, root, key.Public(), rootKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("issuer certificate: %w", err)
	}
	return root, issuer, key, nil
}

func newKey() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// template is that of an authority below which there may be pathLen others: a
// root signs an issuer, and an issuer its successor.
func (o Options) template(role string, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{o.ID.TrustDomain}, CommonName: o.ID.TrustDomain + " " + role},
		NotBefore:             o.Now.Add(-o.ClockSkew),
		NotAfter:              o.notAfter(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
	}
}

// sign makes the certificate; without a parent it signs itself.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func encode(anchors, chain []*x509.Certificate, key crypto.Signer) (b Bundle, err error) {
	for _, c := range anchors {
		text, err := pem.EncodeX509(c)
		if err != nil {
			return b, err
		}
		b.Anchors = append(b.Anchors, text...)
	}
	for _, c := range chain {
		text, err := pem.EncodeX509(c)
		if err != nil {
			return b, err
		}
		b.Issuer = append(b.Issuer, text...)
	}
	b.Key, err = pem.EncodePrivateKey(key)
	return b, err
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
