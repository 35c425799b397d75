package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// NameValuePair is a named value that stands in the document or is referred to.
// Value wins over EnvRef, EnvRef over SecretKeyRef; with none of them the value
// is empty.
type NameValuePair struct {
	// Name is that of the setting or header.
	Name string `json:"name"`
	// Value is any JSON value, as it stands.
	Value *Value `json:"value,omitempty"`
	// EnvRef is the name of an environment variable of the sidecar.
	EnvRef       string        `json:"envRef,omitempty"`
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`
}

// needsSecret tells whether the value comes out of a secret store.
func (p NameValuePair) needsSecret() bool {
	return p.Value == nil && p.EnvRef == "" && p.SecretKeyRef != nil
}

func validatePairs(d *decoder, field string, pairs []NameValuePair) {
	for i, p := range pairs {
		item := fmt.Sprintf("%s[%d]", field, i)
		d.require(item+".name", p.Name != "")
		if p.SecretKeyRef != nil {
			d.require(item+".secretKeyRef.name", p.SecretKeyRef.Name != "")
		}
	}
}

// SecretKeyRef is a place in a secret store.
type SecretKeyRef struct {
	// Name is the secret.
	Name string `json:"name"`
	// Key is the key in the secret; the secret's name when empty.
	Key string `json:"key,omitempty"`
}

// Value is a metadata value. In the document it may be any JSON value: numbers
// stay as they are written, lists and mappings become JSON.
type Value string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *Value) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*v = Value(n.Value)
		if n.ShortTag() == "!!bool" {
			*v = Value(strings.ToLower(n.Value))
		}
		return nil
	}
	var tree any
	if err := n.Decode(&tree); err != nil {
		return errors.New("cannot be read as JSON")
	}
	// The cause could quote the value, and the value could be a secret.
	text, err := json.Marshal(tree)
	if err != nil {
		return errors.New("cannot be written as JSON; all its keys must be strings and its numbers finite")
	}
	*v = Value(text)
	return nil
}

// Duration is written in Go's syntax, such as "1m30s".
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return errors.New(`want a duration such as "30s"`)
	}
	parsed, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf(`%q is not a duration such as "30s" or "1m30s"`, n.Value)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
