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
	"fmt"
	"time"

	"github.com/dapr/kit/crypto/pem"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

const rsaBits = 2048

// jwtOptions say how JWTs are signed.
type jwtOptions struct {
	issuer    string // empty leaves it out
	keyID     string // the key's thumbprint when empty
	algorithm jose.SignatureAlgorithm
	ttl       time.Duration
	names     names
}

// jwtAlgorithms are those that a key is made for, with how it is made.
var jwtAlgorithms = map[jose.SignatureAlgorithm]func() (crypto.Signer, error){
	jose.RS256: newRSA, jose.RS384: newRSA, jose.RS512: newRSA,
	jose.PS256: newRSA, jose.PS384: newRSA, jose.PS512: newRSA,
	jose.ES256: newECDSA(elliptic.P256()), jose.ES384: newECDSA(elliptic.P384()), jose.ES512: newECDSA(elliptic.P521()),
	jose.EdDSA: newEd25519,
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
	var keys keySet
	if len(bytes.TrimSpace(set)) > 0 {
		if keys, err = parseKeySet(set); err != nil {
			return nil, nil, false, fmt.Errorf("%s is not a set of JSON web keys: %w", o.names.jwks, err)
		}
	}
	if keys.has(key.KeyID) {
		return keyPEM, set, changed, nil
	}
	public, err := json.Marshal(key.Public())
	if err != nil {
		return nil, nil, false, err
	}
	keys.Keys = append(keys.Keys, public)
	set, err = json.Marshal(keys)
	return keyPEM, set, true, err
}

func (o jwtOptions) parseKey(keyPEM []byte) (jose.JSONWebKey, error) {
	raw, err := authority.ParseKey(keyPEM)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("%s: %w", o.names.jwtKey, err)
	}
	key := jose.JSONWebKey{Key: raw, KeyID: o.keyID, Algorithm: string(o.algorithm), Use: forSignatures}
	if key.KeyID == "" {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return jose.JSONWebKey{}, fmt.Errorf("%s: %w", o.names.jwtKey, err)
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	return key, nil
}

// jwtSigner signs JWTs. It is safe for concurrent use.
type jwtSigner struct {
	o      jwtOptions
	signer jose.Signer
}

func newJWTSigner(o jwtOptions, keyPEM []byte) (*jwtSigner, error) {
	key, err := o.parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	s := &jwtSigner{o: o}
	s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: o.algorithm, Key: key}, new(jose.SignerOptions).WithType("JWT"))
	if err == nil {
		_, err = s.sign(security.ID{}, nil, time.Now(), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not sign with %s: %w; --jwt-signing-algorithm names the algorithm", o.names.jwtKey, o.algorithm, err)
	}
	return s, nil
}

// sign returns a JWT that says who the id is to the audiences.
func (s *jwtSigner) sign(id security.ID, audiences []string, now time.Time, skew time.Duration) (string, error) {
	return jwt.Signed(s.signer).Claims(jwt.Claims{
		Issuer: s.o.issuer, Subject: id.String(), Audience: audiences,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-skew)), Expiry: jwt.NewNumericDate(now.Add(s.o.ttl)),
	}).Serialize()
}
