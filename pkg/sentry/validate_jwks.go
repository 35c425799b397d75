package sentry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/dapr/kit/jwkscache"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// clockTolerance is how far the clock of who signs tokens may be off.
const clockTolerance = time.Minute

// jwksRetry is the pause after a failure to fetch the keys.
const jwksRetry = 10 * time.Second

// jwks checks tokens that somebody else has signed: their subject is the id, and
// their audience this certificate authority.
type jwks struct {
	o     jwksOptions
	self  security.ID
	log   *slog.Logger
	cache atomic.Pointer[jwkscache.JWKSCache]
}

// jwksOptions are those of the token validator "jwks" in the Configuration.
type jwksOptions struct {
	// source is a URL, the path of a file or the set itself.
	source, caCertificate              string
	minRefreshInterval, requestTimeout time.Duration // 0 is the cache's default
}

func readJWKSOptions(options map[string]any) (o jwksOptions, err error) {
	known := []string{"source", "caCertificate", "minRefreshInterval", "requestTimeout"}
	for name, value := range options {
		text, isText := value.(string)
		switch {
		case name == "source" && !isText:
			data, err := json.Marshal(value) // written as YAML rather than as a text
			if err != nil {
				return o, fmt.Errorf("token validator jwks: option source: %w", err)
			}
			o.source = string(data)
		case !isText:
			return o, fmt.Errorf("token validator jwks: option %s must be a text, not %v", name, value)
		case name == "source":
			o.source = text
		case name == "caCertificate":
			o.caCertificate = text
		case name == "minRefreshInterval":
			o.minRefreshInterval, err = time.ParseDuration(text)
		case name == "requestTimeout":
			o.requestTimeout, err = time.ParseDuration(text)
		default:
			if n := nearest.Name(name, known); n != "" {
				return o, fmt.Errorf("token validator jwks: unknown option %q; did you mean %s?", name, n)
			}
			return o, fmt.Errorf("token validator jwks: unknown option %q", name)
		}
		if err != nil {
			return o, fmt.Errorf("token validator jwks: option %s %q is not a duration such as 10m", name, text)
		}
	}
	if o.source == "" {
		return o, fmt.Errorf("token validator jwks: option source is missing: give it a URL, the path of a file or a set of keys")
	}
	return o, nil
}

func newJWKS(o jwksOptions, self security.ID, log *slog.Logger) *jwks {
	v := &jwks{o: o, self: self, log: log}
	v.renew()
	return v
}

func (v *jwks) renew() *jwkscache.JWKSCache {
	cache := jwkscache.NewJWKSCache(v.o.source, telemetry.ForDriver(v.log))
	if v.o.caCertificate != "" {
		cache.SetCACertificate(v.o.caCertificate)
	}
	if v.o.minRefreshInterval > 0 {
		cache.SetMinRefreshInterval(v.o.minRefreshInterval)
	}
	if v.o.requestTimeout > 0 {
		cache.SetRequestTimeout(v.o.requestTimeout)
	}
	v.cache.Store(cache)
	return cache
}

// run keeps the keys. A server that is down is tried again; a file or a text
// that is no set of keys is a mistake, which ends the process.
func (v *jwks) run(ctx context.Context) error {
	remote := strings.HasPrefix(v.o.source, "https://") || strings.HasPrefix(v.o.source, "http://")
	for cache := v.cache.Load(); ; cache = v.renew() {
		err := cache.Start(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if !remote {
			return fmt.Errorf("token validator jwks: %w", err)
		}
		v.log.Error("the keys that tokens are signed with cannot be fetched; trying on: " + err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jwksRetry):
		}
	}
}

func (v *jwks) validate(ctx context.Context, req *sentryv1.SignCertificateRequest) (security.ID, error) {
	if req.GetToken() == "" {
		return security.ID{}, errNoToken
	}
	id, err := claimed(req)
	if err != nil {
		return security.ID{}, err
	}
	cache := v.cache.Load()
	if err := cache.WaitForCacheReady(ctx); err != nil {
		return security.ID{}, status.Errorf(codes.Unavailable, "the keys that tokens are signed with are not known: %v", err)
	}
	set := cache.KeySet()
	if set == nil { // the cache tells of its failure only once
		return security.ID{}, status.Error(codes.Unavailable, "the keys that tokens are signed with are not known")
	}
	// A set may leave out which algorithm a key is for, and how it is called.
	keys := jwt.WithKeySet(set, jws.WithInferAlgorithmFromKey(true), jws.WithRequireKid(false))
	token, err := jwt.ParseString(req.GetToken(), keys, jwt.WithContext(ctx), jwt.WithAcceptableSkew(clockTolerance), jwt.WithAudience(v.self.String()))
	if err != nil {
		return security.ID{}, fmt.Errorf("token: %w", err)
	}
	if token.Expiration().IsZero() {
		return security.ID{}, fmt.Errorf("token: it has no expiry (claim exp)")
	}
	if token.Subject() != id.String() {
		return security.ID{}, fmt.Errorf("the token is that of %q, but the request is for %q", token.Subject(), id)
	}
	return id, nil
}
