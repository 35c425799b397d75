package authority_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	kitpem "github.com/dapr/kit/crypto/pem"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

var (
	now     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sentry  = security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Sentry}
	app     = security.ID{TrustDomain: "public", Namespace: "default", AppID: "orders"}
	options = authority.Options{ID: sentry, Now: now, ClockSkew: 15 * time.Minute}
)

func parse(t *testing.T, b authority.Bundle) *authority.Authority {
	t.Helper()
	a, err := authority.Parse(b, now)
	require.NoError(t, err)
	return a
}

// leaf signs a certificate for the app.
func leaf(t *testing.T, a *authority.Authority) []*x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	chain, err := a.Sign(authority.Request{ID: app, Public: key.Public(), Now: now, ClockSkew: 15 * time.Minute, TTL: 24 * time.Hour})
	require.NoError(t, err)
	return chain
}

// trusts checks the chain as somebody does who knows the anchors only.
func trusts(anchors []byte, chain []*x509.Certificate) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(anchors)
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	return err
}

func TestNew(t *testing.T) {
	b, err := authority.New(options)
	require.NoError(t, err)
	a := parse(t, b)
	require.Len(t, a.Anchors(), 1)
	require.Equal(t, []string{"cluster.local"}, a.Anchors()[0].Subject.Organization)
	require.Equal(t, now.Add(365*24*time.Hour), a.Expires())
	require.IsType(t, ed25519.PublicKey{}, a.Anchors()[0].PublicKey)

	chain := leaf(t, a)
	require.Len(t, chain, 2)
	require.Equal(t, sentry.String(), chain[1].URIs[0].String())
	require.Equal(t, app.String(), chain[0].URIs[0].String())
	require.Equal(t, now.Add(-15*time.Minute), chain[0].NotBefore)
	require.Equal(t, now.Add(24*time.Hour), chain[0].NotAfter)
	require.Equal(t, x509.KeyUsageDigitalSignature, chain[0].KeyUsage)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, chain[0].ExtKeyUsage)
	require.NoError(t, trusts(b.Anchors, chain))
}

func TestARootWithAKeyThatIsKept(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	o := options
	o.RootKey = key
	first, err := authority.New(o)
	require.NoError(t, err)
	second, err := authority.Rotate(first, o)
	require.NoError(t, err)
	for _, b := range []authority.Bundle{first, second} {
		a := parse(t, b)
		require.True(t, key.PublicKey.Equal(a.Anchors()[0].PublicKey))
		require.NoError(t, trusts(first.Anchors, leaf(t, a)))
	}
}

func TestACertificateEndsWithItsIssuer(t *testing.T) {
	o := options
	o.Lifetime = time.Hour
	b, err := authority.New(o)
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Hour), leaf(t, parse(t, b))[0].NotAfter)
}

func TestRotateIsTrustedByWhoKnowsTheOldRootOnly(t *testing.T) {
	old, err := authority.New(options)
	require.NoError(t, err)
	before := leaf(t, parse(t, old))

	rotated, err := authority.Rotate(old, options)
	require.NoError(t, err)
	during := leaf(t, parse(t, rotated))
	require.NoError(t, trusts(old.Anchors, during), "new certificates, old anchors")
	require.NoError(t, trusts(rotated.Anchors, before), "old certificates, new anchors")
	require.NoError(t, trusts(rotated.Anchors, during))
	require.Len(t, parse(t, rotated).Anchors(), 2)

	pruned, err := authority.Prune(rotated, now)
	require.NoError(t, err)
	after := leaf(t, parse(t, pruned))
	require.Len(t, after, 2)
	require.NoError(t, trusts(pruned.Anchors, during))
	require.NoError(t, trusts(pruned.Anchors, after))
	require.NoError(t, trusts(rotated.Anchors, after))
	require.Error(t, trusts(pruned.Anchors, before), "the old root is gone")

	again, err := authority.Rotate(rotated, options)
	require.NoError(t, err)
	require.NoError(t, trusts(rotated.Anchors, leaf(t, parse(t, again))), "a second rotation without pruning")
	require.Len(t, leaf(t, parse(t, again)), 4, "the chain does not grow with every rotation")
}

func TestRotateForgetsExpiredRoots(t *testing.T) {
	short := options
	short.Lifetime = time.Hour
	old, err := authority.New(short)
	require.NoError(t, err)
	rotated, err := authority.Rotate(old, options)
	require.NoError(t, err)
	later := options
	later.Now = now.Add(2 * time.Hour)
	again, err := authority.Rotate(rotated, later)
	require.NoError(t, err)
	a, err := authority.Parse(again, later.Now)
	require.NoError(t, err)
	require.Len(t, a.Anchors(), 2)
}

// ecdsaBundle is a bundle as older releases made it: ECDSA keys, an issuer that
// may sign no other authority, its key in the SEC 1 form.
func ecdsaBundle(t *testing.T) authority.Bundle {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	require.NoError(t, err)
	root, err = x509.ParseCertificate(rootDER)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, root, key.Public(), rootKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return authority.Bundle{
		Anchors: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}),
		Issuer:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuerDER}),
		Key:     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
}

func TestBundlesOfOlderReleasesAreUsed(t *testing.T) {
	b := ecdsaBundle(t)
	require.NoError(t, trusts(b.Anchors, leaf(t, parse(t, b))))

	rotated, err := authority.Rotate(b, options)
	require.NoError(t, err)
	chain := leaf(t, parse(t, rotated))
	require.Len(t, chain, 2, "such an issuer cannot vouch for the next")
	require.NoError(t, trusts(rotated.Anchors, chain))
	require.NoError(t, trusts(rotated.Anchors, leaf(t, parse(t, b))))
}

func TestParseNamesThePart(t *testing.T) {
	good, err := authority.New(options)
	require.NoError(t, err)
	other, err := authority.New(options)
	require.NoError(t, err)
	key, err := authority.ParseKey(good.Key)
	require.NoError(t, err)
	chain, err := parse(t, good).Sign(authority.Request{ID: app, Public: key.Public(), Now: now, TTL: time.Hour})
	require.NoError(t, err)
	leafPEM, err := kitpem.EncodeX509(chain[0])
	require.NoError(t, err)

	for _, c := range []struct {
		name string
		b    authority.Bundle
		at   time.Time
		err  string
	}{
		{"empty", authority.Bundle{}, now, "ca.crt is missing"},
		{"blank key", authority.Bundle{Anchors: good.Anchors, Issuer: good.Issuer, Key: []byte("\n")}, now, "issuer.key is missing"},
		{"not a root", authority.Bundle{Anchors: []byte("x"), Issuer: good.Issuer, Key: good.Key}, now, "ca.crt: "},
		{"not a key", authority.Bundle{Anchors: good.Anchors, Issuer: good.Issuer, Key: []byte("hunter2")}, now, "issuer.key: it is not a private key in PEM that can sign"},
		{"another key", authority.Bundle{Anchors: good.Anchors, Issuer: good.Issuer, Key: other.Key}, now, "issuer.key is not the key of issuer.crt"},
		{"another root", authority.Bundle{Anchors: other.Anchors, Issuer: good.Issuer, Key: good.Key}, now, "issuer.crt does not lead to a root in ca.crt"},
		{"not an authority", authority.Bundle{Anchors: good.Anchors, Issuer: leafPEM, Key: good.Key}, now, "issuer.crt is not the certificate of an authority"},
		{"expired", good, now.AddDate(2, 0, 0), "issuer.crt has expired at 2027-01-02T03:04:05Z: renew it with dapr mtls renew-certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := authority.Parse(c.b, c.at)
			require.ErrorContains(t, err, c.err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
