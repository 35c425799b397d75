// Package secret is the secrets building block: it reads secrets out of secret
// stores, for the app within the scopes of the Configuration, and for the
// references inside other components without them.
package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	contribmetadata "github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/secretstores"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Drivers are the compiled-in secret stores, by component type.
var Drivers component.Registry[secretstores.SecretStore]

// Options is what a Block needs; Log and Metrics are required.
type Options struct {
	// Namespace of the app; empty outside Kubernetes.
	Namespace string
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
	// Scopes restrict what the app may read, one for a store; a store without a
	// scope is not restricted.
	Scopes []resource.SecretsScope
}

// Block holds the open secret stores. The errors of Get and BulkGet are
// *apierror.Error. It is safe for concurrent use.
type Block struct {
	log     *slog.Logger
	metrics *telemetry.ComponentMetrics
	scopes  scopes
	stores  component.Set[secretstores.SecretStore]
}

// New returns a Block without stores.
func New(o Options) *Block {
	return &Block{
		log:     telemetry.Scope(o.Log, "dapr.runtime.processor.secret"),
		metrics: newMetrics(o.Metrics, o.Namespace),
		scopes:  newScopes(o.Scopes),
	}
}

// Kind is "secretstores": the block owns the components of type
// "secretstores.*".
func (*Block) Kind() string { return "secretstores" }

// Open makes the component's store usable under its name; ctx bounds the
// attempt. A store that is already open under that name is replaced and closed,
// but only once the new one works.
func (b *Block) Open(ctx context.Context, spec component.Spec) error {
	driver, err := Drivers.New(spec, telemetry.Scope(b.log, "dapr.contrib").With("component", spec.LogName()))
	if err != nil {
		return err
	}
	err = driver.Init(ctx, secretstores.Metadata{Base: contribmetadata.Base{
		Name:       spec.Name,
		Properties: maps.Clone(spec.Metadata),
	}})
	if err != nil {
		return errors.Join(fmt.Errorf("open secret store %s: %w", spec.LogName(), err), driver.Close())
	}
	if old, replaced := b.stores.Put(spec.Name, driver); replaced {
		if err := old.Close(); err != nil {
			b.log.Warn("the replaced secret store did not close", "component", spec.LogName(), "error", err)
		}
	}
	return nil
}

// Pend records that the component is declared but not open yet, and why: calls
// that name it are answered with that reason.
func (b *Block) Pend(name string, reason error) { b.stores.Pend(name, reason) }

// Close closes the store.
func (b *Block) Close(_ context.Context, name string) error {
	driver, open := b.stores.Delete(name)
	if !open {
		return nil
	}
	if err := driver.Close(); err != nil {
		return fmt.Errorf("close secret store %s: %w", name, err)
	}
	return nil
}

// Capabilities are what the open store can do, in the names of the metadata
// API. It is nil for a store that is not open.
func (b *Block) Capabilities(name string) []string {
	driver, ok := b.stores.Get(name)
	if !ok {
		return nil
	}
	capabilities := []string{}
	for _, f := range driver.Features() {
		capabilities = append(capabilities, string(f))
	}
	return capabilities
}

// Get reads one secret for the app: its values by their keys. metadata goes to
// the driver.
func (b *Block) Get(ctx context.Context, store, key string, metadata map[string]string) (map[string]string, error) {
	driver, err := b.open(store)
	if err != nil {
		return nil, err
	}
	if !b.scopes.allow(store, key) {
		return nil, errPermission(store, key)
	}
	start := time.Now()
	res, err := driver.GetSecret(ctx, secretstores.GetSecretRequest{Name: key, Metadata: metadata})
	b.metrics.Of(store).Record(opGet, start, err)
	if err != nil {
		return nil, errGet(store, key, err)
	}
	return res.Data, nil
}

// BulkGet reads all secrets of a store that the app may read: their values by
// the secrets' names and by their keys.
func (b *Block) BulkGet(ctx context.Context, store string, metadata map[string]string) (map[string]map[string]string, error) {
	driver, err := b.open(store)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	res, err := driver.BulkGetSecret(ctx, secretstores.BulkGetSecretRequest{Metadata: metadata})
	b.metrics.Of(store).Record(opBulkGet, start, err)
	if err != nil {
		return nil, errBulkGet(store, err)
	}
	readable := maps.Clone(res.Data) // the driver may keep the original
	maps.DeleteFunc(readable, func(key string, _ map[string]string) bool { return !b.scopes.allow(store, key) })
	return readable, nil
}

// Resolve reads a secret that another component refers to. It is what
// resource.Env wants as its Secret: the app's scopes do not apply, and a store
// that is not open is resource.ErrNoSecretStore.
func (b *Block) Resolve(ctx context.Context, store, name string) (map[string]string, error) {
	driver, ok := b.stores.Get(store)
	if !ok {
		if reason := b.stores.Pending(store); reason != nil {
			return nil, fmt.Errorf("%w: %w", resource.ErrNoSecretStore, reason)
		}
		return nil, fmt.Errorf("%w: there is no component of that name", resource.ErrNoSecretStore)
	}
	res, err := driver.GetSecret(ctx, secretstores.GetSecretRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return res.Data, nil
}

// open returns the open store with the name, or says why there is none.
func (b *Block) open(name string) (secretstores.SecretStore, error) {
	if driver, ok := b.stores.Get(name); ok {
		return driver, nil
	}
	if reason := b.stores.Pending(name); reason != nil {
		return nil, errNotReady(name, reason)
	}
	names := b.stores.Names()
	if len(names) == 0 {
		return nil, errNotConfigured()
	}
	return nil, errNotFound(name, names)
}
