package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	contrib "github.com/dapr/components-contrib/state"
	kitstrings "github.com/dapr/kit/strings"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// store is one open component.
type store struct {
	name   string
	driver contrib.Store
	prefix string  // of every key in the driver, separator included
	cipher *cipher // nil when values are stored as they are
	actors bool
	ops    *telemetry.ComponentOperations

	// What the driver can do, known once it is open.
	features      []contrib.Feature
	transactional contrib.TransactionalStore // nil when it has no transactions
	querier       contrib.Querier            // nil when it has no queries
	maxOperations int                        // of a transaction; below 1 means no limit

	// busy is held for reading by running operations, so that closing waits for
	// them.
	busy   sync.RWMutex
	closed bool
}

func (b *Block) newStore(spec component.Spec) (*store, error) {
	driver, err := Drivers.New(spec, telemetry.Scope(b.log, "dapr.contrib").With("component", spec.LogName()))
	if err != nil {
		return nil, err
	}
	s := &store{name: spec.Name, driver: driver, ops: b.metrics.Of(spec.Name)}
	if s.prefix, err = b.keyPrefix(spec); err != nil {
		return nil, err
	}
	if s.cipher, err = newCipher(spec); err != nil {
		return nil, err
	}
	for _, name := range []string{primaryKey, secondaryKey} {
		if v, ok := spec.Property(name); ok && v != "" && !isSecret(spec, name) {
			b.log.Warn("values are not encrypted with this key: it takes effect only as a secretKeyRef", "component", spec.LogName(), "metadata", name)
		}
	}
	if v, _ := spec.Property("outboxPublishPubsub"); v != "" {
		b.log.Warn("the transactional outbox is not available yet: transactions publish nothing", "component", spec.LogName())
	}
	if v, _ := spec.Property("actorStateStore"); kitstrings.IsTruthy(v) {
		if other := b.actorStore(); other != "" && other != spec.Name {
			return nil, fmt.Errorf("metadata actorStateStore is true, but %s is the actors' store already: set it on one component only", other)
		}
		s.actors = true
	}
	return s, nil
}

// learn asks the open driver what it can do.
func (s *store) learn() {
	s.features = s.driver.Features()
	if slices.Contains(s.features, contrib.FeatureTransactional) {
		s.transactional, _ = s.driver.(contrib.TransactionalStore)
	}
	if limited, ok := s.driver.(contrib.TransactionalStoreMultiMaxSize); ok {
		s.maxOperations = limited.MultiMaxSize()
	}
	if slices.Contains(s.features, contrib.FeatureQueryAPI) {
		s.querier, _ = s.driver.(contrib.Querier)
	}
}

func (s *store) fitsActors() bool {
	return s.transactional != nil && slices.Contains(s.features, contrib.FeatureETag)
}

// retain reports whether the store is still open; if so, it stays open until
// release.
func (s *store) retain() bool {
	s.busy.RLock()
	if s.closed {
		s.busy.RUnlock()
		return false
	}
	return true
}

func (s *store) release() { s.busy.RUnlock() }

// close closes the driver after the running operations. Some drivers wait for
// their server when they close, so ctx bounds how long we do.
func (s *store) close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		s.busy.Lock()
		s.closed = true
		s.busy.Unlock()
		done <- s.driver.Close()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// abandon closes a driver that did not open. It can hold connections already,
// and a component whose server is down is opened again and again. Drivers need
// not expect that, and some panic.
func abandon(driver contrib.Store) {
	defer func() { _ = recover() }()
	_ = driver.Close() // why it did not open is what the user must know
}

// separator stands between the prefix and the app's key. Apps cannot use it:
// that is what keeps them out of each other's keys.
const separator = "||"

// keyPrefix reads how the component keeps apart the keys of apps that share the
// store.
func (b *Block) keyPrefix(spec component.Spec) (string, error) {
	strategy, _ := spec.Property("keyPrefix")
	switch strategy = strings.TrimSpace(strategy); strings.ToLower(strategy) {
	case "", "appid":
		return b.appID + separator, nil
	case "name":
		return spec.Name + separator, nil
	case "namespace":
		if b.namespace == "" {
			return b.appID + separator, nil
		}
		return b.namespace + "." + b.appID + separator, nil
	case "none":
		return "", nil
	}
	if strings.Contains(strategy, separator) {
		return "", fmt.Errorf("metadata keyPrefix %q must not contain %q: use appid, name, namespace, none or a plain word", strategy, separator)
	}
	return strategy + separator, nil
}

// driverKey is the key in the store for the app's key.
func (s *store) driverKey(key string) (string, error) {
	if key == "" {
		return "", errEmptyKey(s.name)
	}
	if strings.Contains(key, separator) {
		return "", errIllegalKey(s.name, key)
	}
	return s.prefix + key, nil
}

// appKey is the app's key of a key in the store, whoever wrote it.
func appKey(driverKey string) string {
	parts := strings.SplitN(driverKey, separator, 3)
	if len(parts) == 1 {
		return driverKey
	}
	return parts[1]
}
