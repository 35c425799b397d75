package security

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	stdpem "encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/dapr/kit/crypto/pem"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// A round of requests: the first and five more, three seconds each.
const (
	requestTries   = 6
	requestTimeout = 3 * time.Second
	requestPause   = 200 * time.Millisecond
)

// request asks for a certificate of a new key, in one round.
func (p *Provider) request(ctx context.Context) (*identity, error) {
	conn, err := grpc.NewClient(p.o.SentryAddress,
		grpc.WithTransportCredentials(credentials.NewTLS(anonymousConfig(p.o.Anchors, Exactly(p.o.Sentry)))),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: requestPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: requestTimeout,
		}),
		grpc.WithDisableServiceConfig(), grpc.WithNoProxy())
	if err != nil {
		return nil, fmt.Errorf("address %q of the certificate authority: %w", p.o.SentryAddress, err)
	}
	defer conn.Close()

	// The key is one that every TLS implementation and every cloud accepts.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	token, err := p.o.Token.read()
	if err != nil {
		return nil, err
	}
	resp, err := p.sign(ctx, sentryv1.NewCAClient(conn), &sentryv1.SignCertificateRequest{
		Id: p.o.ID.AppID, Namespace: p.o.ID.Namespace, TrustDomain: p.o.ID.TrustDomain,
		Token: token, TokenValidator: p.o.Token.Validator, JwtAudiences: p.o.JWTAudiences,
		CertificateSigningRequest: stdpem.EncodeToMemory(&stdpem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
	})
	if err != nil {
		return nil, fmt.Errorf("certificate authority at %s: %w", p.o.SentryAddress, err)
	}
	next, anchors, err := p.accept(resp)
	if err != nil {
		return nil, fmt.Errorf("the answer of the certificate authority at %s cannot be used: %w", p.o.SentryAddress, err)
	}
	if !key.PublicKey.Equal(next.svid.Certificates[0].PublicKey) {
		return nil, errors.New("the certificate authority has certified a key that is not the one asked for")
	}
	next.svid.PrivateKey = key
	p.o.Anchors.learn(anchors)
	return next, nil
}

func (p *Provider) sign(ctx context.Context, ca sentryv1.CAClient, req *sentryv1.SignCertificateRequest) (*sentryv1.SignCertificateResponse, error) {
	for try := 1; ; try++ {
		tryCtx, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := ca.SignCertificate(tryCtx, req, grpc.WaitForReady(true))
		cancel()
		if err == nil || try == requestTries || refused(err) || ctx.Err() != nil {
			return resp, err
		}
		p.o.Log.Debug("request for a certificate failed", "try", try, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(jitter(2 * requestPause)):
		}
	}
}

// accept reads an answer; the identity has no key yet.
func (p *Provider) accept(resp *sentryv1.SignCertificateResponse) (*identity, []*x509.Certificate, error) {
	chain, err := pem.DecodePEMCertificates(resp.GetWorkloadCertificate())
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate: %w", err)
	}
	var anchors []*x509.Certificate
	for _, data := range resp.GetTrustChainCertificates() {
		certs, err := parseAnchors(data)
		if err != nil {
			return nil, nil, fmt.Errorf("the trust anchors: %w", err)
		}
		for _, c := range certs {
			if bytes.Equal(c.RawSubject, c.RawIssuer) { // an intermediate is not trusted by itself
				anchors = append(anchors, c)
			}
		}
	}
	trusted := anchors
	if len(trusted) == 0 {
		trusted = p.o.Anchors.Certificates()
	}
	id, err := p.certificates(chain, trusted)
	if err != nil {
		return nil, nil, err
	}
	next := &identity{id: id, svid: &x509svid.SVID{Certificates: chain}, expires: chain[0].NotAfter, jwts: make(map[string]string)}
	next.svid.ID, _ = x509svid.IDFromCert(chain[0]) // certificates has read it
	if token := resp.GetJwt().GetValue(); token != "" {
		next.jwt = token
		next.expiresBy(token)
	}
	for audience, token := range resp.GetPerAudienceJwts() {
		next.jwts[audience] = token.GetValue()
		next.expiresBy(token.GetValue())
	}
	return next, anchors, nil
}

// expiresBy takes the expiry of a JWT into account. It is not verified: it comes
// from the one who makes them.
func (i *identity) expiresBy(token string) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return
	}
	var claims struct {
		Expiry int64 `json:"exp"`
	}
	if json.Unmarshal(data, &claims) != nil || claims.Expiry == 0 {
		return
	}
	if at := time.Unix(claims.Expiry, 0); at.Before(i.expires) {
		i.expires = at
	}
}
