package sentry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/dapr/kit/crypto/pem"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/security"
)

// clockTolerance is how far the clock of who signs tokens may be off.
const clockTolerance = time.Minute

const (
	// jwksRefresh is the pause between two looks at a URL, unless it is an option.
	jwksRefresh = 10 * time.Minute
	// jwksRetry is the pause after a failure to fetch the keys.
	jwksRetry = 10 * time.Second
	// jwksTimeout bounds a request for the keys, unless it is an option.
	jwksTimeout = 30 * time.Second
	// jwksMaxBytes is far more than a set has: what is larger is something else.
	jwksMaxBytes = 1 << 20
)

// jwks checks tokens that somebody else has signed: their subject is the id, and
// their audience this certificate authority.
type jwks struct {
	o    jwksOptions
	self security.ID
	log  *slog.Logger
	// keys are nil until there are any.
	keys atomic.Pointer[[]jose.JSONWebKey]
	// tried is closed when the first attempt to get keys is over.
	tried    chan struct{}
	firstTry sync.Once
}

// jwksOptions are those of the token validator "jwks" in the Configuration.
type jwksOptions struct {
	// source is a URL, the path of a file or the set itself.
	source, caCertificate              string
	minRefreshInterval, requestTimeout time.Duration // 0 is the default
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
	if o.minRefreshInterval <= 0 {
		o.minRefreshInterval = jwksRefresh
	}
	if o.requestTimeout <= 0 {
		o.requestTimeout = jwksTimeout
	}
	return &jwks{o: o, self: self, log: log, tried: make(chan struct{})}
}

// run keeps the keys. A server that is down is tried again; a file or a text
// that is no set of keys is a mistake, which ends the process.
func (v *jwks) run(ctx context.Context) error {
	source := v.o.source
	if strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "http://") {
		v.keepFetching(ctx)
		return nil
	}
	var err error
	if info, statErr := os.Stat(source); statErr == nil && info.Mode().IsRegular() {
		err = v.keepReading(ctx)
	} else if err = v.use(decoded(source)); err == nil {
		<-ctx.Done()
	} else {
		err = fmt.Errorf("option source is no URL, no path of a file and no set of keys: %w", err)
	}
	if err != nil {
		return fmt.Errorf("token validator jwks: %w", err)
	}
	return nil
}

// decoded is the set that is written as the source, which may be in base64.
func decoded(source string) []byte {
	if data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(source), "=")); err == nil {
		return data
	}
	return []byte(source)
}

// use takes a set of keys in place of the one before.
func (v *jwks) use(data []byte) error {
	set, err := parseKeySet(data)
	if err != nil {
		return err
	}
	keys := set.forTokens()
	if len(keys) == 0 {
		return errors.New("none of its keys checks signatures")
	}
	v.keys.Store(&keys)
	v.firstTry.Do(func() { close(v.tried) })
	return nil
}

// keepReading reads the file, and again when it has changed.
func (v *jwks) keepReading(ctx context.Context) error {
	read := func() error {
		data, err := os.ReadFile(v.o.source)
		if err != nil {
			return err
		}
		if err := v.use(data); err != nil {
			return fmt.Errorf("%s is not a set of JSON web keys: %w", v.o.source, err)
		}
		return nil
	}
	if err := read(); err != nil {
		return err
	}
	return resource.Disk{Configurations: []string{v.o.source}}.Watch(ctx, func() {
		if err := read(); err != nil {
			v.log.Error("the keys that tokens are signed with stay as they were: " + err.Error())
		}
	})
}

// keepFetching gets the set of the URL now and then. The server's last set is
// good while it is down.
func (v *jwks) keepFetching(ctx context.Context) {
	if strings.HasPrefix(v.o.source, "http://") {
		v.log.Warn("the keys that tokens are signed with come over plain HTTP: whoever is on the way can replace them")
	}
	for {
		pause := v.o.minRefreshInterval
		if err := v.fetch(ctx); err != nil && ctx.Err() == nil {
			v.log.Error("the keys that tokens are signed with cannot be fetched; trying on: " + err.Error())
			pause = min(pause, jwksRetry)
		}
		v.firstTry.Do(func() { close(v.tried) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (v *jwks) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.o.requestTimeout)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	if v.o.caCertificate != "" {
		roots, err := pem.GetPEM(v.o.caCertificate)
		if err != nil {
			return fmt.Errorf("option caCertificate: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(roots) {
			return errors.New("option caCertificate holds no certificate in PEM")
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.o.source, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", req.URL.Redacted(), resp.Status)
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, jwksMaxBytes))
	if err != nil {
		return err
	}
	if err := v.use(data); err != nil {
		return fmt.Errorf("what %s answers is not a set of JSON web keys: %w", req.URL.Redacted(), err)
	}
	return nil
}

func (v *jwks) validate(ctx context.Context, req *sentryv1.SignCertificateRequest) (security.ID, error) {
	if req.GetToken() == "" {
		return security.ID{}, errNoToken
	}
	id, err := claimed(req)
	if err != nil {
		return security.ID{}, err
	}
	select {
	case <-v.tried:
	case <-ctx.Done():
	}
	keys := v.keys.Load()
	if keys == nil {
		return security.ID{}, status.Error(codes.Unavailable, "the keys that tokens are signed with are not known")
	}
	claims, err := verify(req.GetToken(), *keys)
	if err != nil {
		return security.ID{}, fmt.Errorf("token: %w", err)
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{v.self.String()}, Time: time.Now()}, clockTolerance); err != nil {
		return security.ID{}, fmt.Errorf("token: %w", err)
	}
	if claims.Expiry == nil {
		return security.ID{}, errors.New("token: it has no expiry (claim exp)")
	}
	if claims.Subject != id.String() {
		return security.ID{}, fmt.Errorf("the token is that of %q, but the request is for %q", claims.Subject, id)
	}
	return id, nil
}

// verify returns what a token claims when one of the keys has signed it. A set
// may leave out which algorithm a key is for, and how it is called.
func verify(token string, keys []jose.JSONWebKey) (claims jwt.Claims, err error) {
	parsed, err := jwt.ParseSigned(token, slices.Collect(maps.Keys(jwtAlgorithms)))
	if err != nil {
		return claims, err
	}
	header := parsed.Headers[0]
	err = errors.New("none of the keys is the one it names")
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != "" && header.KeyID != key.KeyID {
			continue
		}
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if err = parsed.Claims(key.Key, &claims); err == nil {
			return claims, nil
		}
	}
	return jwt.Claims{}, err
}
