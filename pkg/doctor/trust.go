package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/hyperdapr/dapr/pkg/security/authority"
)

// early is how long before its end a certificate is warned about.
const early = 30 * 24 * time.Hour

const (
	renew       = "dapr mtls renew-certificate -k --restart"
	renewSentry = "kubectl rollout restart deployment/dapr-sentry -n %s"
)

// checkCertificates looks at the days that the certificate authority has left.
func checkCertificates(ctx context.Context, s *snapshot) ([]Finding, error) {
	m, err := s.Client.MTLS(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	if !m.Enabled {
		found = append(found, info("mutual TLS is switched off").because("sidecars do not know who calls them").
			mend("dapr upgrade -k -n %s --runtime-version %s --set global.mtls.enabled=true", s.namespace, s.Version))
	}
	bundle, err := s.Client.TrustBundle(ctx, s.namespace)
	if err != nil {
		if forbidden(err) {
			return found, err
		}
		return append(found, fault("%v", err).mend(renewSentry, s.namespace)), nil
	}
	roots, err := certificates(bundle.Anchors)
	if err != nil {
		return append(found, fault("the roots cannot be read: %v", err).mend(renew)), nil
	}
	chain, err := certificates(bundle.Issuer)
	if err != nil {
		return append(found, fault("the issuer cannot be read: %v", err).mend(renew)), nil
	}
	// The root in use stands first: a rotation keeps older ones behind it.
	found = append(found, s.daysLeft("root", roots[0]), s.daysLeft("issuer", chain[0]))
	for _, old := range roots[1:] {
		if old.NotAfter.Before(s.Now()) {
			found = append(found, info("an older root has expired at %s", date(old.NotAfter)).because("it does no harm").mend("the next renewal drops it"))
		}
	}
	if _, err := authority.Parse(bundle.Bundle, s.Now()); err != nil && s.Now().Before(chain[0].NotAfter) {
		found = append(found, fault("the certificate authority cannot sign: %v", err).mend(renew))
	}
	return found, nil
}

// daysLeft judges one certificate.
func (s *snapshot) daysLeft(what string, c *x509.Certificate) Finding {
	left := c.NotAfter.Sub(s.Now())
	days := int(left.Hours() / 24)
	switch {
	case left <= 0:
		return fault("the %s certificate has expired at %s", what, date(c.NotAfter)).
			because("no sidecar gets an identity any more").mend("%s, and restart the apps", renew)
	case s.Now().Before(c.NotBefore):
		return fault("the %s certificate is good from %s only", what, date(c.NotBefore)).mend("set the clocks, or: %s", renew)
	case left < early:
		return warn("the %s certificate expires in %s, at %s", what, count(days, "day"), date(c.NotAfter)).mend("dapr mtls renew-certificate -k")
	}
	return okay("the %s certificate has %s left, until %s", what, count(days, "day"), date(c.NotAfter))
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// certificates reads what is in PEM, at least one.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it is no certificate in PEM")
	}
	return all, nil
}

// checkTrustBundle compares the roots that the certificate authority has with
// those that everybody is told.
func checkTrustBundle(ctx context.Context, s *snapshot) ([]Finding, error) {
	bundle, err := s.Client.TrustBundle(ctx, s.namespace)
	if err != nil {
		if forbidden(err) {
			return nil, err
		}
		return nil, nil // the check of the certificates tells of it
	}
	public, err := s.Client.PublishedAnchors(ctx, s.namespace)
	switch {
	case forbidden(err):
		return nil, err
	case err != nil:
		return []Finding{fault("%v", err).because("sidecars do not learn whom to trust").mend(renewSentry, s.namespace)}, nil
	case !bytes.Equal(bytes.TrimSpace(public), bytes.TrimSpace(bundle.Anchors)):
		return []Finding{fault("the ConfigMap dapr-trust-bundle has other roots than the Secret of that name").
			because("new sidecars do not trust the certificates that are signed now").mend(renewSentry, s.namespace)}, nil
	}
	return []Finding{okay("the roots in the Secret and in the ConfigMap dapr-trust-bundle are the same")}, nil
}

// agree tells how far two sets of roots are the same.
func agree(a, b []byte) (same, some bool) {
	as, errA := certificates(a)
	bs, errB := certificates(b)
	if errA != nil || errB != nil {
		return false, false
	}
	in := func(c *x509.Certificate, all []*x509.Certificate) bool {
		for _, o := range all {
			if c.Equal(o) {
				return true
			}
		}
		return false
	}
	same = len(as) == len(bs)
	for _, c := range as {
		if in(c, bs) {
			some = true
		} else {
			same = false
		}
	}
	return same, some
}

// roots are those that webhooks have to be trusted by, or nil when the user may
// not read them.
func (s *snapshot) roots(ctx context.Context) []byte {
	if bundle, err := s.Client.TrustBundle(ctx, s.namespace); err == nil {
		return bundle.Anchors
	}
	if public, err := s.Client.PublishedAnchors(ctx, s.namespace); err == nil {
		return public
	}
	return nil
}
