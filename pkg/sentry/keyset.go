package sentry

import (
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

// forSignatures is what a JSON web key says that is there to sign and to check
// signatures, if it says what it is there for.
const forSignatures = "sig"

// keySet is a set of JSON web keys. A key stays as it is written: what is kept
// for others may be of a kind, or have members, that are unknown here.
type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

func parseKeySet(data []byte) (keySet, error) {
	var s keySet
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	if s.Keys == nil {
		return s, errors.New(`it has no list "keys"`)
	}
	for _, key := range s.Keys {
		if err := json.Unmarshal(key, new(struct{})); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s keySet) has(id string) bool {
	for _, key := range s.Keys {
		var named struct {
			ID string `json:"kid"`
		}
		if json.Unmarshal(key, &named) == nil && named.ID == id {
			return true
		}
	}
	return false
}

// forTokens are the keys that signatures of tokens can be checked with. A set
// may hold others, for encryption or of a kind that is yet to come.
func (s keySet) forTokens() []jose.JSONWebKey {
	var all []jose.JSONWebKey
	for _, written := range s.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(written, &key) != nil || (key.Use != "" && key.Use != forSignatures) {
			continue
		}
		// A shared secret is none: whoever checks with it could sign with it.
		if public := key.Public(); public.Valid() {
			all = append(all, public)
		}
	}
	return all
}
