package resource

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hyperdapr/dapr/pkg/component"
)

const (
	defaultVersion     = "v1"
	defaultInitTimeout = 5 * time.Second
)

// ErrNoSecretStore is what Env.Secret returns for a store that is not open: the
// resource can be resolved once it is.
var ErrNoSecretStore = errors.New("the secret store is not open")

// SecretError says which secret a resource could not have. It wraps
// ErrNoSecretStore when the store is not open.
type SecretError struct {
	Store, Secret string
	// Key is the key in the secret that is missing; empty when the secret as a
	// whole could not be read.
	Key string
	Err error
}

// Error implements error.
func (e *SecretError) Error() string {
	if e.Key != "" {
		return fmt.Sprintf("secret %q in store %q: key %q: %v", e.Secret, e.Store, e.Key, e.Err)
	}
	return fmt.Sprintf("secret %q in store %q: %v", e.Secret, e.Store, e.Err)
}

// Unwrap returns the cause.
func (e *SecretError) Unwrap() error { return e.Err }

// Env is what the references inside a resource can refer to. The zero value
// refers to nothing.
type Env struct {
	AppID string
	// Namespace is the app's; it may be empty.
	Namespace string
	// PodName is the value of {podName}; empty when there is no pod.
	PodName string
	// LookupEnv reads an environment variable, like os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// EnvKeys, when not empty, are the only variables that an envRef may name.
	EnvKeys []string
	// DefaultSecretStore is the store of resources that name none; empty for
	// none.
	DefaultSecretStore string
	// InlinedSecretStore is the store whose secrets the source has put into the
	// values of their references, as base64; empty for none. The operator does so
	// for the store "kubernetes".
	InlinedSecretStore string
	// Secret reads a secret. It may block on the network, and returns an error
	// that wraps ErrNoSecretStore when the store is not open.
	Secret func(ctx context.Context, store, name string) (map[string]string, error)
}

// Resolve replaces references and templates by their values. The error joins
// all that could not be resolved and never holds a value; it wraps
// ErrNoSecretStore and a *SecretError when the component has to wait for its
// secret store.
func (c *Component) Resolve(ctx context.Context, env Env) (component.Spec, error) {
	spec := component.Spec{
		Name:         c.Name(),
		Type:         c.Spec.Type,
		Version:      c.Spec.Version,
		Namespace:    c.Namespace(),
		Metadata:     make(map[string]string, len(c.Spec.Metadata)),
		SecretKeys:   make(map[string]bool),
		IgnoreErrors: c.Spec.IgnoreErrors,
		InitTimeout:  time.Duration(c.Spec.InitTimeout),
	}
	if spec.Version == "" {
		spec.Version = defaultVersion
	}
	if spec.InitTimeout == 0 {
		spec.InitTimeout = defaultInitTimeout
	}
	r := newResolver(env, c.Auth)
	err := r.all(ctx, "metadata", c.Spec.Metadata, func(p NameValuePair, value string) {
		spec.Metadata[p.Name] = value
		if p.needsSecret() || r.inlined(p) {
			spec.SecretKeys[p.Name] = true
		}
	})
	if err != nil {
		return component.Spec{}, fmt.Errorf("component %s: %w", spec.LogName(), err)
	}
	return spec, nil
}

// resolver resolves the pairs of one resource and reads each secret once.
type resolver struct {
	env     Env
	store   string
	secrets map[string]map[string]string
}

func newResolver(env Env, auth Auth) *resolver {
	return &resolver{env: env, store: auth.storeOr(env.DefaultSecretStore), secrets: make(map[string]map[string]string)}
}

// all calls set with every pair's value.
func (r *resolver) all(ctx context.Context, what string, pairs []NameValuePair, set func(NameValuePair, string)) error {
	var errs []error
	for _, p := range pairs {
		value, err := r.pair(ctx, p)
		if err != nil {
			err = fmt.Errorf("%s %s: %w", what, p.Name, err)
		}
		if errors.Is(err, ErrNoSecretStore) {
			return err // nothing else can be said before the store is open
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		set(p, value)
	}
	return errors.Join(errs...)
}

func (r *resolver) pair(ctx context.Context, p NameValuePair) (string, error) {
	switch {
	case r.inlined(p):
		value, err := base64.StdEncoding.DecodeString(string(*p.Value))
		if err != nil {
			return "", fmt.Errorf("the secret %q that the operator sent is not base64", p.SecretKeyRef.Name)
		}
		return string(value), nil
	case p.Value != nil:
		return r.expand(string(*p.Value))
	case p.EnvRef != "":
		return r.environment(p.EnvRef)
	case p.SecretKeyRef != nil:
		return r.secret(ctx, *p.SecretKeyRef)
	}
	return "", nil
}

// inlined tells whether the source has put the secret into the value already.
func (r *resolver) inlined(p NameValuePair) bool {
	return p.Value != nil && p.SecretKeyRef != nil && r.store != "" && r.store == r.env.InlinedSecretStore
}

var template = regexp.MustCompile(`\{(uuid|podName|namespace|appID)\}`)

// expand replaces the templates; each {uuid} is another one.
func (r *resolver) expand(s string) (string, error) {
	var err error
	s = template.ReplaceAllStringFunc(s, func(t string) string {
		switch t {
		case "{uuid}":
			return uuid.NewString()
		case "{namespace}":
			return r.env.Namespace + "." + r.env.AppID
		case "{appID}":
			return r.env.AppID
		}
		if r.env.PodName == "" {
			err = errors.New("{podName} needs the environment variable POD_NAME, which is not set")
		}
		return r.env.PodName
	})
	return s, err
}

func (r *resolver) environment(name string) (string, error) {
	if err := r.env.allows(name); err != nil {
		return "", err
	}
	if r.env.LookupEnv != nil {
		if value, ok := r.env.LookupEnv(name); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("envRef: the environment variable %s is not set", name)
}

// allows refuses the sidecar's own variables, which hold its tokens.
func (e Env) allows(name string) error {
	upper := strings.ToUpper(name) // names have no case on Windows
	switch {
	case strings.Contains(name, " "):
		return fmt.Errorf("envRef: %q has a space in it", name)
	case upper == "APP_API_TOKEN" || strings.HasPrefix(upper, "DAPR_"):
		return fmt.Errorf("envRef: %s is the sidecar's own and may not be referred to", name)
	case len(e.EnvKeys) > 0 && !slices.Contains(e.EnvKeys, name):
		return fmt.Errorf("envRef: %s is not among the variables that DAPR_ENV_KEYS lists", name)
	}
	return nil
}

func (r *resolver) secret(ctx context.Context, ref SecretKeyRef) (string, error) {
	if r.store == "" {
		return "", fmt.Errorf("secretKeyRef to %q: set auth.secretStore to the name of a secret store", ref.Name)
	}
	data, known := r.secrets[ref.Name]
	if !known {
		err := ErrNoSecretStore
		if r.env.Secret != nil {
			data, err = r.env.Secret(ctx, r.store, ref.Name)
		}
		if err != nil {
			return "", &SecretError{Store: r.store, Secret: ref.Name, Err: err}
		}
		r.secrets[ref.Name] = data
	}
	key := ref.Key
	if key == "" {
		key = ref.Name
	}
	value, ok := data[key]
	if !ok {
		return "", &SecretError{Store: r.store, Secret: ref.Name, Key: key, Err: errors.New("no such key in the secret")}
	}
	return value, nil
}
