// Package state is the state building block: it keeps an app's keys and values
// in a store. What a call means (key prefixes, etags, time to live, encryption,
// metrics) is written here once; the HTTP and gRPC faces only decode and encode,
// and a driver only knows its store.
package state

import (
	"context"
	"fmt"
	"log/slog"

	contribmetadata "github.com/dapr/components-contrib/metadata"
	contrib "github.com/dapr/components-contrib/state"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Drivers are the compiled-in state stores, by component type.
var Drivers component.Registry[contrib.Store]

// Options is what a Block needs; all but Namespace is required.
type Options struct {
	// AppID prefixes keys, unless a component says otherwise.
	AppID string
	// Namespace of the app; empty outside Kubernetes.
	Namespace string
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
}

// Block holds the open state stores and gives their operations. Every error of
// an operation is an *apierror.Error. It is safe for concurrent use.
type Block struct {
	appID, namespace string
	log              *slog.Logger
	metrics          *telemetry.ComponentMetrics
	stores           component.Set[*store]
}

// New returns a Block without stores.
func New(o Options) *Block {
	return &Block{
		appID:     o.AppID,
		namespace: o.Namespace,
		log:       telemetry.Scope(o.Log, "dapr.runtime.state"),
		metrics:   newMetrics(o.Metrics, o.Namespace),
	}
}

// Kind is "state": the block owns the components of type "state.*".
func (*Block) Kind() string { return "state" }

// Open connects the component's store and makes it usable under its name. A
// store that is already open under that name is replaced and closed, but only
// once the new one works. It is not safe to call Open concurrently.
func (b *Block) Open(ctx context.Context, spec component.Spec) error {
	s, err := b.newStore(spec)
	if err != nil {
		return fmt.Errorf("state store %s: %w", spec.Name, err)
	}
	metadata := contrib.Metadata{Base: contribmetadata.Base{Name: spec.Name, Properties: spec.Metadata}}
	if err := s.driver.Init(ctx, metadata); err != nil {
		abandon(s.driver)
		return fmt.Errorf("open state store %s: %w", spec.LogName(), err)
	}
	s.learn()
	if s.actors && !s.fitsActors() {
		b.log.Warn("the store cannot keep actors' state: it has no transactions with etags", "component", spec.LogName())
	}
	if old, replaced := b.stores.Put(spec.Name, s); replaced {
		if err := old.close(ctx); err != nil {
			b.log.Warn("the replaced state store did not close", "component", spec.LogName(), "error", err)
		}
	}
	return nil
}

// Pend records that the component is declared but not open yet, and why: calls
// that name it are answered with that reason.
func (b *Block) Pend(name string, reason error) { b.stores.Pend(name, reason) }

// Close waits for the store's running operations, at most until ctx ends, and
// closes it.
func (b *Block) Close(ctx context.Context, name string) error {
	s, open := b.stores.Delete(name)
	if !open {
		return nil
	}
	if err := s.close(ctx); err != nil {
		return fmt.Errorf("close state store %s: %w", name, err)
	}
	return nil
}

// Capabilities are what the open store can do, in the names of the metadata
// API: "ETAG", "TRANSACTIONAL", "TTL", "ACTOR" and so on. It is nil for a store
// that is not open.
func (b *Block) Capabilities(name string) []string {
	s, ok := b.stores.Get(name)
	if !ok {
		return nil
	}
	capabilities := make([]string, 0, len(s.features)+1)
	for _, f := range s.features {
		capabilities = append(capabilities, string(f))
	}
	if s.fitsActors() {
		capabilities = append(capabilities, "ACTOR")
	}
	return capabilities
}

// acquire returns the open store with the name; the caller releases it when its
// operation ends.
func (b *Block) acquire(name string) (*store, error) {
	for {
		s, ok := b.stores.Get(name)
		if !ok {
			return nil, b.missing(name)
		}
		if s.retain() {
			return s, nil
		}
		// It was replaced between the two steps: take the new one.
	}
}

func (b *Block) missing(name string) error {
	if reason := b.stores.Pending(name); reason != nil {
		return errNotReady(name, reason)
	}
	names := b.stores.Names()
	if len(names) == 0 {
		return errNotConfigured(name)
	}
	return errNotFound(name, names)
}

// defaultName is the store of requests that name none: the only one, else the
// one named "statestore".
func (b *Block) defaultName() (string, error) {
	names := b.stores.Names()
	switch len(names) {
	case 0:
		return "", errNotConfigured("")
	case 1:
		return names[0], nil
	}
	const conventional = "statestore"
	for _, n := range names {
		if n == conventional {
			return n, nil
		}
	}
	return "", errNoDefault(names)
}

// actorStore is the name of the open store that keeps actors' state, or "".
func (b *Block) actorStore() string {
	for _, name := range b.stores.Names() {
		if s, ok := b.stores.Get(name); ok && s.actors {
			return name
		}
	}
	return ""
}
