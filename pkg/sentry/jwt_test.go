package sentry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
)

func TestJWTs(t *testing.T) {
	dir := t.TempDir()
	r := standalone(t, dir, "--jwt-enabled", "--jwt-issuer=https://issuer.example", "--jwt-ttl=1h")
	p := identity(t, r.address(), appID("caller"), anchorsOf(t, dir), func(o *security.Options) { o.JWTAudiences = []string{"bank", "vault"} })
	keys := parseKeys(t, read(t, dir, "jwks.json"))
	for audience, want := range map[string][]string{"": {"public", "bank", "vault"}, "public": {"public", "bank", "vault"}, "bank": {"bank"}, "vault": {"vault"}} {
		text, ok := p.JWT(audience)
		require.True(t, ok, audience)
		token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
		require.NoError(t, err)
		require.Equal(t, "JWT", token.Headers[0].ExtraHeaders[jose.HeaderType])
		var claims jwt.Claims
		require.NoError(t, token.Claims(keys, &claims), "the set has the key by its id")
		require.Equal(t, "spiffe://public/ns/default/caller", claims.Subject)
		require.Equal(t, want, []string(claims.Audience))
		require.Equal(t, "https://issuer.example", claims.Issuer)
		require.InDelta(t, time.Hour.Seconds(), time.Until(claims.Expiry.Time()).Seconds(), 10)
		require.Less(t, time.Until(claims.NotBefore.Time()), -14*time.Minute, "for clocks that are late")
	}
	_, ok := p.JWT("stranger")
	require.False(t, ok)
}

// parseKeys reads a set as a verifier does, who knows nothing of ours.
func parseKeys(t *testing.T, set []byte) (keys jose.JSONWebKeySet) {
	t.Helper()
	require.NoError(t, json.Unmarshal(set, &keys))
	return keys
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
		t.Run(string(algorithm), func(t *testing.T) {
			o := jwtOptions{algorithm: algorithm, ttl: time.Hour, names: testNames}
			key, set, changed, err := o.complete(nil, nil)
			require.NoError(t, err)
			require.True(t, changed)
			s, err := newJWTSigner(o, key)
			require.NoError(t, err)
			text, err := s.sign(appID("a"), []string{"b"}, time.Now(), 0)
			require.NoError(t, err)
			token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{algorithm})
			require.NoError(t, err)
			require.NoError(t, token.Claims(parseKeys(t, set), new(jwt.Claims)))
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
	o := jwtOptions{algorithm: jose.ES256, ttl: time.Hour, names: testNames}
	_, set, _, err := o.complete(nil, nil)
	require.NoError(t, err)
	_, both, changed, err := o.complete(nil, set)
	require.NoError(t, err)
	require.True(t, changed)
	require.Len(t, parseKeys(t, both).Keys, 2)

	_, both, _, err = o.complete(nil, []byte(`{"keys":[{"kty":"LATTICE","kid":"later","x-note":"kept"}]}`))
	require.NoError(t, err)
	require.Contains(t, string(both), `{"kty":"LATTICE","kid":"later","x-note":"kept"}`, "what is unknown here may be known to others")

	_, _, _, err = o.complete([]byte("hunter2"), nil)
	require.EqualError(t, err, "jwt.key: it is not a private key in PEM that can sign")
	_, _, _, err = o.complete(nil, []byte("{"))
	require.ErrorContains(t, err, "jwks.json is not a set of JSON web keys")
	_, _, _, err = o.complete(nil, []byte("{}"))
	require.ErrorContains(t, err, `jwks.json is not a set of JSON web keys: it has no list "keys"`)

	key, _, _, err := o.complete(nil, nil)
	require.NoError(t, err)
	o.algorithm = jose.RS256
	_, err = newJWTSigner(o, key)
	require.ErrorContains(t, err, "jwt.key does not sign with RS256")
	o.algorithm, o.keyID = jose.ES256, "mine"
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
	key jose.JSONWebKey
	set []byte
}

func newSigner(t *testing.T) signer {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := jose.JSONWebKey{Key: raw, KeyID: "k"}
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	require.NoError(t, err)
	return signer{key, data}
}

func (s signer) token(t *testing.T, subject, audience string, expires time.Time) string {
	t.Helper()
	claims := jwt.Claims{Subject: subject, Audience: jwt.Audience{audience}}
	if !expires.IsZero() {
		claims.Expiry = jwt.NewNumericDate(expires)
	}
	return sign(t, jose.ES256, s.key, claims)
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	require.NoError(t, err)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return token
}

// startJWKS returns a validator whose keys come from the source.
func startJWKS(t *testing.T, options map[string]any) *jwks {
	t.Helper()
	o, err := readJWKSOptions(options)
	require.NoError(t, err)
	v := newJWKS(o, self, discard())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return v
}

func (v *jwks) check(t *testing.T, token string) error {
	t.Helper()
	_, err := v.validate(t.Context(), &sentryv1.SignCertificateRequest{Id: "orders", Namespace: "default", Token: token})
	return err
}

const ordersID = "spiffe://public/ns/default/orders"

func TestTokensOfAnotherAuthority(t *testing.T) {
	ours, theirs := newSigner(t), newSigner(t)
	file := filepath.Join(t.TempDir(), "set.json")
	require.NoError(t, os.WriteFile(file, ours.set, 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ours.set) }))
	defer server.Close()
	hour := time.Now().Add(time.Hour)
	const subject = ordersID
	for source, where := range map[string]string{
		"text": string(ours.set), "base64": base64.StdEncoding.EncodeToString(ours.set), "file": file, "URL": server.URL,
	} {
		t.Run(source, func(t *testing.T) {
			v := startJWKS(t, map[string]any{"source": where, "minRefreshInterval": "2m", "requestTimeout": "1m"})
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

// Whatever a token says of itself, only a key of the set signs.
func TestForgedTokens(t *testing.T) {
	ours := newSigner(t)
	claims := jwt.Claims{Subject: ordersID, Audience: jwt.Audience{self.String()}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}
	secret := []byte("a secret of thirty-two characters")
	set := fmt.Sprintf(`{"keys":[{"kty":"oct","k":%q},{"kty":"LATTICE"},%s]}`, base64.RawURLEncoding.EncodeToString(secret), string(ours.set[len(`{"keys":[`):len(ours.set)-2]))
	v := startJWKS(t, map[string]any{"source": set})

	require.NoError(t, v.check(t, sign(t, jose.ES256, ours.key, claims)))
	require.NoError(t, v.check(t, sign(t, jose.ES256, ours.key.Key, claims)), "a token need not name its key")
	require.ErrorContains(t, v.check(t, sign(t, jose.HS256, secret, claims)), "token: ", "a secret that is shared")
	point, err := x509.MarshalPKIXPublicKey(ours.key.Public().Key)
	require.NoError(t, err)
	require.ErrorContains(t, v.check(t, sign(t, jose.HS256, point, claims)), "token: ", "the public key as a secret")
	named := ours.key
	named.KeyID = "another"
	require.ErrorContains(t, v.check(t, sign(t, jose.ES256, named, claims)), "token: none of the keys is the one it names")
	payload := strings.Split(sign(t, jose.ES256, ours.key, claims), ".")[1]
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + "."
	require.ErrorContains(t, v.check(t, none), "token: ", "no signature")
}

func TestKeysFromAServerWithTLS(t *testing.T) {
	ours := newSigner(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ours.set) }))
	defer server.Close()
	token := ours.token(t, ordersID, self.String(), time.Now().Add(time.Hour))
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	require.NoError(t, startJWKS(t, map[string]any{"source": server.URL, "caCertificate": string(authority)}).check(t, token))
	unknown := startJWKS(t, map[string]any{"source": server.URL})
	require.Equal(t, codes.Unavailable, status.Code(unknown.check(t, token)), "a server whose certificate nobody vouches for")
}

func TestKeysAreReadAgain(t *testing.T) {
	before, after := newSigner(t), newSigner(t)
	hour := time.Now().Add(time.Hour)
	file := filepath.Join(t.TempDir(), "set.json")
	require.NoError(t, os.WriteFile(file, before.set, 0o600))
	answer := atomic.Pointer[[]byte]{} // nil: the server is down
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if set := answer.Load(); set != nil {
			_, _ = w.Write(*set)
			return
		}
		http.Error(w, "down", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	ofFile := startJWKS(t, map[string]any{"source": file})
	ofURL := startJWKS(t, map[string]any{"source": server.URL, "minRefreshInterval": "10ms"})

	require.NoError(t, ofFile.check(t, before.token(t, ordersID, self.String(), hour)))
	require.Equal(t, codes.Unavailable, status.Code(ofURL.check(t, before.token(t, ordersID, self.String(), hour))))
	answer.Store(&before.set)
	accepts := func(v *jwks, s signer) func() bool {
		return func() bool { return v.check(t, s.token(t, ordersID, self.String(), hour)) == nil }
	}
	require.Eventually(t, accepts(ofURL, before), 10*time.Second, 10*time.Millisecond)

	answer.Store(&after.set)
	require.NoError(t, os.WriteFile(file, after.set, 0o600))
	for _, v := range []*jwks{ofFile, ofURL} {
		require.Eventually(t, accepts(v, after), 10*time.Second, 10*time.Millisecond)
		require.Error(t, v.check(t, before.token(t, ordersID, self.String(), hour)), "a key that was withdrawn")
	}

	// What is no set changes nothing.
	answer.Store(nil)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	require.Never(t, func() bool { return !accepts(ofFile, after)() || !accepts(ofURL, after)() }, 300*time.Millisecond, 20*time.Millisecond)
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
