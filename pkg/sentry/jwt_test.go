package sentry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/security"
)

func TestJWTs(t *testing.T) {
	dir := t.TempDir()
	r := standalone(t, dir, "--jwt-enabled", "--jwt-issuer=https://issuer.example", "--jwt-ttl=1h")
	p := identity(t, r.address(), appID("caller"), anchorsOf(t, dir), func(o *security.Options) { o.JWTAudiences = []string{"bank", "vault"} })
	keys, err := jwk.Parse(read(t, dir, "jwks.json"))
	require.NoError(t, err)
	for audience, want := range map[string][]string{"": {"public", "bank", "vault"}, "public": {"public", "bank", "vault"}, "bank": {"bank"}, "vault": {"vault"}} {
		text, ok := p.JWT(audience)
		require.True(t, ok, audience)
		token, err := jwt.ParseString(text, jwt.WithKeySet(keys))
		require.NoError(t, err)
		require.Equal(t, "spiffe://public/ns/default/caller", token.Subject())
		require.Equal(t, want, token.Audience())
		require.Equal(t, "https://issuer.example", token.Issuer())
		require.InDelta(t, time.Hour.Seconds(), time.Until(token.Expiration()).Seconds(), 10)
		require.Less(t, time.Until(token.NotBefore()), -14*time.Minute, "for clocks that are late")
	}
	_, ok := p.JWT("stranger")
	require.False(t, ok)
}

func TestNoJWTsUnlessAsked(t *testing.T) {
	dir := t.TempDir()
	p := identity(t, standalone(t, dir).address(), appID("caller"), anchorsOf(t, dir), func(o *security.Options) { o.JWTAudiences = []string{"bank"} })
	_, ok := p.JWT("bank")
	require.False(t, ok)
	require.NoFileExists(t, filepath.Join(dir, "jwt.key"))
}

func TestJWTKeys(t *testing.T) {
	for algorithm := range jwtAlgorithms {
		t.Run(algorithm.String(), func(t *testing.T) {
			o := jwtOptions{algorithm: algorithm, ttl: time.Hour, names: testNames}
			key, set, changed, err := o.complete(nil, nil)
			require.NoError(t, err)
			require.True(t, changed)
			s, err := newJWTSigner(o, key)
			require.NoError(t, err)
			text, err := s.sign(appID("a"), []string{"b"}, time.Now(), 0)
			require.NoError(t, err)
			keys, err := jwk.Parse(set)
			require.NoError(t, err)
			_, err = jwt.ParseString(text, jwt.WithKeySet(keys))
			require.NoError(t, err)
			require.NotContains(t, string(set), `"d":`, "nothing private")

			sameKey, sameSet, changed, err := o.complete(key, set)
			require.NoError(t, err)
			require.False(t, changed)
			require.Equal(t, key, sameKey)
			require.Equal(t, set, sameSet)
		})
	}
}

func TestAnotherJWTKeyIsAddedToTheSet(t *testing.T) {
	o := jwtOptions{algorithm: jwa.ES256, ttl: time.Hour, names: testNames}
	_, set, _, err := o.complete(nil, nil)
	require.NoError(t, err)
	_, both, changed, err := o.complete(nil, set)
	require.NoError(t, err)
	require.True(t, changed)
	keys, err := jwk.Parse(both)
	require.NoError(t, err)
	require.Equal(t, 2, keys.Len())

	_, _, _, err = o.complete([]byte("hunter2"), nil)
	require.EqualError(t, err, "jwt.key: it is not a private key in PEM that can sign")
	_, _, _, err = o.complete(nil, []byte("{"))
	require.ErrorContains(t, err, "jwks.json is not a set of JSON web keys")

	key, _, _, err := o.complete(nil, nil)
	require.NoError(t, err)
	o.algorithm = jwa.RS256
	_, err = newJWTSigner(o, key)
	require.ErrorContains(t, err, "jwt.key does not sign with RS256")
	o.algorithm, o.keyID = jwa.ES256, "mine"
	_, set, _, err = o.complete(key, nil)
	require.NoError(t, err)
	require.Contains(t, string(set), `"kid":"mine"`)
}

func TestOIDC(t *testing.T) {
	dir := t.TempDir()
	r := standalone(t, dir, "--jwt-enabled", "--oidc-enabled", "--oidc-path-prefix=/id/", "--oidc-allowed-hosts=127.0.0.1,id.example")
	address := r.find(`OIDC server is listening on ([\d.:]+)`)
	r.ready()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: anonymous(t, dir)}}
	get := func(path, host string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path, http.NoBody)
		require.NoError(t, err)
		if host != "" {
			req.Host = host
		}
		res, err := client.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, body
	}

	code, body := get("/id/.well-known/openid-configuration", "")
	require.Equal(t, 200, code)
	require.JSONEq(t, fmt.Sprintf(`{
		"issuer": "https://%[1]s/id", "jwks_uri": "https://%[1]s/id/jwks.json",
		"response_types_supported": ["id_token"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
		"claims_supported": ["sub", "iss", "aud", "exp", "iat", "nbf"]
	}`, address), string(body))
	code, body = get("/id/jwks.json", "id.example")
	require.Equal(t, 200, code)
	require.JSONEq(t, string(read(t, dir, "jwks.json")), string(body))
	code, _ = get("/id/jwks.json", "evil.example")
	require.Equal(t, 403, code)
	code, _ = get("/healthz", "anything")
	require.Equal(t, 200, code)
	code, _ = get("/jwks.json", "")
	require.Equal(t, 404, code)
}

func TestOIDCIsHealthyWhenItHasKeys(t *testing.T) {
	k := &keeper{}
	oidc := newOIDC(oidcOptions{}, k)
	ask := func(path string) int {
		rec := httptest.NewRecorder()
		oidc.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return rec.Code
	}
	require.Equal(t, http.StatusServiceUnavailable, ask("/healthz"))
	require.Equal(t, http.StatusServiceUnavailable, ask("/jwks.json"))
	k.current.Store(&state{material: material{JWKS: []byte(`{"keys":[]}`)}})
	require.Equal(t, http.StatusOK, ask("/healthz"))
	require.Equal(t, http.StatusOK, ask("/jwks.json"))
}

func TestOIDCDocumentSaysWhatTheFlagsSay(t *testing.T) {
	o := oidcOptions{issuer: "https://issuer.example", jwksURI: "https://keys.example/x", algorithm: "ES256"}
	data, err := json.Marshal(o.discovery("host"))
	require.NoError(t, err)
	require.Contains(t, string(data), `"issuer":"https://issuer.example","jwks_uri":"https://keys.example/x"`)
	require.Equal(t, "http://host/p/jwks.json", oidcOptions{pathPrefix: "/p"}.discovery("host").JWKSURI)
}

// signer signs tokens as somebody else's identity provider does.
type signer struct {
	key jwk.Key
	set []byte
}

func newSigner(t *testing.T) signer {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := jwk.FromRaw(raw)
	require.NoError(t, err)
	require.NoError(t, key.Set(jwk.KeyIDKey, "k"))
	public, err := key.PublicKey()
	require.NoError(t, err)
	set := jwk.NewSet()
	require.NoError(t, set.AddKey(public))
	data, err := json.Marshal(set)
	require.NoError(t, err)
	return signer{key, data}
}

func (s signer) token(t *testing.T, subject, audience string, expires time.Time) string {
	t.Helper()
	b := jwt.NewBuilder().Subject(subject).Audience([]string{audience})
	if !expires.IsZero() {
		b = b.Expiration(expires)
	}
	token, err := b.Build()
	require.NoError(t, err)
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256, s.key))
	require.NoError(t, err)
	return string(signed)
}

func TestTokensOfAnotherAuthority(t *testing.T) {
	ours, theirs := newSigner(t), newSigner(t)
	file := filepath.Join(t.TempDir(), "set.json")
	require.NoError(t, os.WriteFile(file, ours.set, 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ours.set) }))
	defer server.Close()
	hour := time.Now().Add(time.Hour)
	const subject = "spiffe://public/ns/default/orders"
	for source, where := range map[string]string{"text": string(ours.set), "file": file, "URL": server.URL} {
		t.Run(source, func(t *testing.T) {
			o, err := readJWKSOptions(map[string]any{"source": where, "minRefreshInterval": "2m", "requestTimeout": "1m"})
			require.NoError(t, err)
			v := newJWKS(o, self, discard())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- v.run(ctx) }()
			defer func() {
				cancel()
				require.NoError(t, <-done)
			}()
			for _, c := range []struct{ name, token, err string }{
				{"good", ours.token(t, subject, self.String(), hour), ""},
				{"none", "", "no token"},
				{"another signer", theirs.token(t, subject, self.String(), hour), "token: "},
				{"another audience", ours.token(t, subject, "vault", hour), "token: "},
				{"another subject", ours.token(t, "spiffe://public/ns/default/payments", self.String(), hour), `the token is that of "spiffe://public/ns/default/payments"`},
				{"expired", ours.token(t, subject, self.String(), time.Now().Add(-time.Hour)), "token: "},
				{"for ever", ours.token(t, subject, self.String(), time.Time{}), "no expiry"},
			} {
				id, err := v.validate(t.Context(), &sentryv1.SignCertificateRequest{Id: "orders", Namespace: "default", Token: c.token})
				if c.err != "" {
					require.ErrorContains(t, err, c.err, c.name)
					continue
				}
				require.NoError(t, err, c.name)
				require.Equal(t, subject, id.String())
			}
		})
	}
}

func TestOnlyTheValidatorsOfTheConfigurationAreInUse(t *testing.T) {
	s := newSigner(t)
	config := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: c}
spec:
  mtls:
    tokenValidators:
    - name: jwks
      options:
        source: |
          %s
`, s.set), 0o600))
	dir := t.TempDir()
	r := standalone(t, dir, "--config", config)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(s.token(t, appID("caller").String(), self.String(), time.Now().Add(time.Hour))), 0o600))
	token, err := security.FindToken(lookup(map[string]string{"DAPR_SENTRY_TOKEN_FILE": file}), false)
	require.NoError(t, err)
	p := identity(t, r.address(), appID("caller"), anchorsOf(t, dir), func(o *security.Options) { o.Token = token })
	require.Equal(t, appID("caller"), p.ID())

	without, err := security.NewProvider(security.Options{ID: appID("caller"), Sentry: self, SentryAddress: r.address(), Anchors: anchorsOf(t, dir), Log: discard()})
	require.NoError(t, err)
	require.ErrorContains(t, without.Run(t.Context()), "no token")
}

func TestOIDCWithACertificateOfItsOwn(t *testing.T) {
	dir, certs := t.TempDir(), t.TempDir()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	writePair(t, certs, server.TLS.Certificates[0])
	r := standalone(t, dir, "--jwt-enabled", "--oidc-enabled", "--oidc-server-tls-cert-file", filepath.Join(certs, "tls.crt"), "--oidc-server-tls-key-file", filepath.Join(certs, "tls.key"))
	address := r.find(`OIDC server is listening on ([\d.:]+)`)
	conn, err := tls.Dial("tcp", address, server.Client().Transport.(*http.Transport).TLSClientConfig.Clone())
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	plain := standalone(t, t.TempDir(), "--jwt-enabled", "--oidc-enabled", "--oidc-server-tls-enabled=false")
	code, _ := plain.get(`OIDC server is listening on ([\d.:]+)`, "/jwks.json")
	require.Equal(t, 200, code)
}
