package sentry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
)

// keeper has the authority that signs. It looks again and again whether the
// material or the settings have changed, so that a new root or a new lifetime
// counts without a restart.
type keeper struct {
	self     security.ID
	store    store
	maker    maker
	settings settingsSource
	interval time.Duration
	health   *service.Health
	metrics  *metrics
	log      *slog.Logger

	current atomic.Pointer[state]

	mu       sync.Mutex
	own      *x509svid.SVID
	ownOf    *authority.Authority // who has signed own
	ownRenew time.Time
}

// state is one reading of everything. It does not change.
type state struct {
	material  material
	authority *authority.Authority
	jwt       *jwtSigner // nil when no JWTs are issued
	settings  settings
}

// bundleTarget is what readiness calls the material.
const bundleTarget = "trust bundle"

// refresh reads everything anew. On an error the state stays as it is.
func (k *keeper) refresh(ctx context.Context) error {
	s, err := k.settings(ctx)
	if err != nil {
		return err
	}
	maker := k.maker
	maker.options.ClockSkew = s.clockSkew
	m, err := k.store.load(ctx, maker.complete)
	if err != nil {
		return err
	}
	old := k.current.Load()
	next := &state{material: m, settings: s}
	if old != nil && old.material.Bundle.Equal(m.Bundle) {
		next.authority = old.authority
	} else if next.authority, err = authority.Parse(m.Bundle, k.maker.now()); err != nil {
		return err
	}
	if k.maker.jwt != nil {
		if next.jwt, err = newJWTSigner(*k.maker.jwt, m.JWTKey); err != nil {
			return err
		}
	}
	k.current.Store(next)
	k.tell(old, next)
	return nil
}

// tell logs and counts what has changed.
func (k *keeper) tell(old, next *state) {
	if old != nil && old.authority == next.authority {
		return
	}
	expires := next.authority.Expires()
	k.metrics.issuerExpiry.Set(float64(expires.Unix()))
	k.log.Info("the trust bundle is loaded", "roots", len(next.authority.Anchors()), "issuer_expires", expires.UTC().Format(time.RFC3339))
	if old != nil {
		k.metrics.issuerChanged.Inc()
	}
}

// run reads everything anew at the interval, until the context ends.
func (k *keeper) run(ctx context.Context) error {
	for said := ""; ; {
		err := k.refresh(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if err == nil {
			said = ""
			k.health.Set(bundleTarget, k.expired())
		} else {
			if k.current.Load() == nil {
				k.health.Set(bundleTarget, err.Error())
			}
			if text := err.Error(); text != said {
				k.log.Error("the trust bundle or the configuration cannot be used; what was read before stays: " + text)
				said = text
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(k.interval):
		}
	}
}

// expired says so when the issuer has expired.
func (k *keeper) expired() string {
	if at := k.current.Load().authority.Expires(); k.maker.now().After(at) {
		return fmt.Sprintf("the issuer's certificate has expired at %s: renew it with dapr mtls renew-certificate", at.UTC().Format(time.RFC3339))
	}
	return ""
}

// GetX509SVID implements x509svid.Source: the certificate authority's own
// certificate, signed by itself when there is none of the issuer in use or half
// of its life is over.
func (k *keeper) GetX509SVID() (*x509svid.SVID, error) {
	s := k.current.Load()
	if s == nil {
		return nil, fmt.Errorf("the trust bundle is not loaded yet")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.maker.now()
	if k.own != nil && k.ownOf == s.authority && now.Before(k.ownRenew) {
		return k.own, nil
	}
	svid, err := k.sign(s, now)
	if err != nil {
		k.metrics.serverCertFailed.WithLabelValues("sign").Inc()
		k.log.Error("the certificate authority has no server certificate: " + err.Error())
		return nil, err
	}
	k.own, k.ownOf, k.ownRenew = svid, s.authority, now.Add(svid.Certificates[0].NotAfter.Sub(now)/2)
	return svid, nil
}

func (k *keeper) sign(s *state, now time.Time) (*x509svid.SVID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chain, err := s.authority.Sign(authority.Request{
		ID: k.self, Public: key.Public(), DNSNames: serverNames(k.self),
		Now: now, ClockSkew: s.settings.clockSkew, TTL: s.settings.ttl,
	})
	if err != nil {
		return nil, err
	}
	id, err := spiffeid.FromURI(k.self.URL())
	if err != nil {
		return nil, err
	}
	return &x509svid.SVID{ID: id, Certificates: chain, PrivateKey: key}, nil
}
