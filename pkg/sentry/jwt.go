package sentry

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dapr/kit/crypto/pem"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

const rsaBits = 2048

// jwtOptions say how JWTs are signed.
type jwtOptions struct {
	issuer    string // empty leaves it out
	keyID     string // the key's thumbprint when empty
	algorithm jwa.SignatureAlgorithm
	ttl       time.Duration
	names     names
}

// jwtAlgorithms are those that a key is made for, with how it is made.
var jwtAlgorithms = map[jwa.SignatureAlgorithm]func() (crypto.Signer, error){
	jwa.RS256: newRSA, jwa.RS384: newRSA, jwa.RS512: newRSA,
	jwa.PS256: newRSA, jwa.PS384: newRSA, jwa.PS512: newRSA,
	jwa.ES256: newECDSA(elliptic.P256()), jwa.ES384: newECDSA(elliptic.P384()), jwa.ES512: newECDSA(elliptic.P521()),
	jwa.EdDSA: newEd25519,
}

func newRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func newECDSA(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

func newEd25519() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// complete makes the key and its public set when they are missing. A set
// without the key gets it added: what it has is for JWTs that exist.
func (o jwtOptions) complete(keyPEM, set []byte) (newKey, newSet []byte, changed bool, err error) {
	if len(bytes.TrimSpace(keyPEM)) == 0 {
		key, err := jwtAlgorithms[o.algorithm]()
		if err != nil {
			return nil, nil, false, err
		}
		if keyPEM, err = pem.EncodePrivateKey(key); err != nil {
			return nil, nil, false, err
		}
		changed = true
	}
	key, err := o.parseKey(keyPEM)
	if err != nil {
		return nil, nil, false, err
	}
	keys := jwk.NewSet()
	if len(bytes.TrimSpace(set)) > 0 {
		if keys, err = jwk.Parse(set); err != nil {
			return nil, nil, false, fmt.Errorf("%s is not a set of JSON web keys: %w", o.names.jwks, err)
		}
	}
	if _, known := keys.LookupKeyID(key.KeyID()); known {
		return keyPEM, set, changed, nil
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, nil, false, err
	}
	if err := errors.Join(public.Set(jwk.KeyUsageKey, jwk.ForSignature), keys.AddKey(public)); err != nil {
		return nil, nil, false, err
	}
	set, err = json.Marshal(keys)
	return keyPEM, set, true, err
}

func (o jwtOptions) parseKey(keyPEM []byte) (jwk.Key, error) {
	raw, err := authority.ParseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.names.jwtKey, err)
	}
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.names.jwtKey, err)
	}
	id := o.keyID
	if id == "" {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.names.jwtKey, err)
		}
		id = base64.RawURLEncoding.EncodeToString(sum)
	}
	return key, errors.Join(key.Set(jwk.KeyIDKey, id), key.Set(jwk.AlgorithmKey, o.algorithm))
}

// jwtSigner signs JWTs. It is safe for concurrent use.
type jwtSigner struct {
	o   jwtOptions
	key jwk.Key
}

func newJWTSigner(o jwtOptions, keyPEM []byte) (*jwtSigner, error) {
	key, err := o.parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	s := &jwtSigner{o, key}
	if _, err := s.sign(security.ID{}, nil, time.Now(), 0); err != nil {
		return nil, fmt.Errorf("%s does not sign with %s: %w; --jwt-signing-algorithm names the algorithm", o.names.jwtKey, o.algorithm, err)
	}
	return s, nil
}

// sign returns a JWT that says who the id is to the audiences.
func (s *jwtSigner) sign(id security.ID, audiences []string, now time.Time, skew time.Duration) (string, error) {
	b := jwt.NewBuilder().Subject(id.String()).Audience(audiences).
		IssuedAt(now).NotBefore(now.Add(-skew)).Expiration(now.Add(s.o.ttl))
	if s.o.issuer != "" {
		b = b.Issuer(s.o.issuer)
	}
	token, err := b.Build()
	if err != nil {
		return "", err
	}
	signed, err := jwt.Sign(token, jwt.WithKey(s.o.algorithm, s.key))
	return string(signed), err
}
