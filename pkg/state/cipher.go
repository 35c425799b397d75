package state

import (
	"bytes"
	"crypto/aes"
	gocipher "crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hyperdapr/dapr/pkg/component"
)

// The metadata names of a component's encryption keys.
const (
	primaryKey   = "primaryEncryptionKey"
	secondaryKey = "secondaryEncryptionKey"
)

var (
	errNotEncrypted = errors.New("the stored value is not encrypted: it was written before the component had a primaryEncryptionKey")
	errWrongKey     = errors.New("the stored value was encrypted with a key that is neither the primary nor the secondary one, or it is damaged")
)

// cipher encrypts values with AES-GCM. A stored value is
// base64(nonce, ciphertext) + "||" + the name of the key.
type cipher struct {
	keys []encryptionKey // the first one encrypts, all decrypt
}

type encryptionKey struct {
	// name is a fingerprint and no configured name, so that it stays true when
	// the primary key becomes the secondary one.
	name string
	aead gocipher.AEAD
}

// newCipher returns the component's cipher, or nil when it has no key that came
// from a secret store: a key in plain sight protects nothing.
func newCipher(spec component.Spec) (*cipher, error) {
	var c cipher
	for _, name := range []string{primaryKey, secondaryKey} {
		value, ok := spec.Property(name)
		if !ok || value == "" || !isSecret(spec, name) {
			continue
		}
		if name == secondaryKey && len(c.keys) == 0 {
			return nil, fmt.Errorf("metadata %s needs a %s beside it: values are written with the primary key", secondaryKey, primaryKey)
		}
		key, err := newEncryptionKey(value)
		if err != nil {
			return nil, fmt.Errorf("metadata %s %w", name, err)
		}
		c.keys = append(c.keys, key)
	}
	if len(c.keys) == 0 {
		return nil, nil
	}
	return &c, nil
}

func isSecret(spec component.Spec, name string) bool {
	for k, secret := range spec.SecretKeys {
		if secret && strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

func newEncryptionKey(value string) (encryptionKey, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(value))
	if err != nil { // the decoder's message would quote the key
		return encryptionKey{}, errors.New("is not hexadecimal: make one with `openssl rand -hex 32`")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return encryptionKey{}, fmt.Errorf("has %d bytes, not 16, 24 or 32: make one with `openssl rand -hex 32`", len(raw))
	}
	aead, err := gocipher.NewGCM(block)
	if err != nil {
		return encryptionKey{}, err
	}
	sum := sha256.Sum256(raw)
	return encryptionKey{name: hex.EncodeToString(sum[:4]), aead: aead}, nil
}

func (c *cipher) encrypt(value []byte) []byte {
	key := c.keys[0]
	sealed := make([]byte, key.aead.NonceSize(), key.aead.NonceSize()+len(value)+key.aead.Overhead())
	_, _ = rand.Read(sealed) // never fails: see crypto/rand
	sealed = key.aead.Seal(sealed, sealed, value, nil)

	stored := make([]byte, 0, base64.StdEncoding.EncodedLen(len(sealed))+len(separator)+len(key.name))
	stored = base64.StdEncoding.AppendEncode(stored, sealed)
	stored = append(stored, separator...)
	return append(stored, key.name...)
}

func (c *cipher) decrypt(stored []byte) ([]byte, error) {
	at := bytes.LastIndex(stored, []byte(separator))
	if at < 0 {
		return nil, errNotEncrypted
	}
	sealed, err := base64.StdEncoding.AppendDecode(nil, stored[:at])
	if err != nil {
		return nil, errNotEncrypted
	}
	// The name is no more than a hint: other implementations name keys after
	// their secrets. GCM itself tells whether a key is the right one.
	for _, key := range c.keys {
		n := key.aead.NonceSize()
		if len(sealed) < n {
			break
		}
		if value, err := key.aead.Open(nil, sealed[:n], sealed[n:], nil); err == nil {
			return value, nil
		}
	}
	return nil, errWrongKey
}
