package sidecar

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// fakeBlock fails to open a component as often as its failures say.
type fakeBlock struct {
	kind string

	mu       sync.Mutex
	failures map[string]int
	err      error
	log      []string
	pending  map[string]error
}

func (b *fakeBlock) Kind() string { return b.kind }

func (b *fakeBlock) Open(_ context.Context, s component.Spec) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures[s.Name] > 0 {
		b.failures[s.Name]--
		return b.err
	}
	b.log = append(b.log, "open "+s.Name)
	delete(b.pending, s.Name)
	return nil
}

func (b *fakeBlock) Pend(name string, reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		b.pending = make(map[string]error)
	}
	b.pending[name] = reason
}

func (b *fakeBlock) Close(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, "close "+name)
	return nil
}

func (b *fakeBlock) Routes() []httpapi.Route { return nil }

func (b *fakeBlock) events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

func declare(name, typ string) *resource.Component {
	c := &resource.Component{Spec: resource.ComponentSpec{Type: typ}}
	c.Metadata.Name = name
	return c
}

func newComponents(blocks ...*fakeBlock) *components {
	m := &components{
		log: telemetry.Discard(), ready: newReadiness("app"), blocks: make(map[string]Block),
		resolve: func(_ context.Context, c *resource.Component) (component.Spec, error) {
			return component.Spec{Name: c.Name(), Type: c.Spec.Type, Version: "v1", InitTimeout: time.Second}, nil
		},
		dependsOn: func(c *resource.Component) string { return c.Auth.SecretStore },
	}
	for _, b := range blocks {
		m.blocks[b.kind] = b
	}
	return m
}

func (b *fakeBlock) waitFor(t *testing.T, event string) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Contains(b.events(), event) }, 5*time.Second, time.Millisecond, event)
}

// start runs the components and returns a function that ends the run.
func start(t *testing.T, m *components, declared ...*resource.Component) (firstDone chan struct{}, end func() error) {
	t.Helper()
	return startUpdated(t, m, nil, declared...)
}

// startUpdated is start with a channel of later declarations.
func startUpdated(t *testing.T, m *components, updates <-chan []*resource.Component, declared ...*resource.Component) (firstDone chan struct{}, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	firstDone = make(chan struct{})
	result := make(chan error, 1)
	go func() { result <- m.run(ctx, declared, updates, func() { close(firstDone) }) }()
	return firstDone, func() error { cancel(); return <-result }
}

func TestSecretStoresOpenFirstAndEverythingClosesInReverse(t *testing.T) {
	secrets, states := &fakeBlock{kind: "secretstores"}, &fakeBlock{kind: "state"}
	states.kind = "state"
	m := newComponents(secrets, states)
	m.blocks["state"] = secrets // one log shows the order
	needy := declare("store", "state.redis")
	needy.Auth.SecretStore = "vault"
	done, end := start(t, m, needy, declare("vault", "secretstores.local.env"))
	<-done
	require.NoError(t, end())
	require.Equal(t, []string{"open vault", "open store"}, secrets.events())
	require.NoError(t, m.close(t.Context()))
	require.Equal(t, []string{"open vault", "open store", "close store", "close vault"}, secrets.events())
}

func TestAComponentThatFailsIsTriedAgainAndHealthSaysWhy(t *testing.T) {
	b := &fakeBlock{kind: "state", failures: map[string]int{"store": 2}, err: errors.New("connection refused")}
	m := newComponents(b)
	done, end := start(t, m, declare("store", "state.redis"), declare("other", "state.redis"))
	<-done
	require.Equal(t, []string{"open other"}, b.events(), "one failing component holds no other back")
	require.Equal(t, []string{"component store: connection refused"}, m.ready.missing())
	b.mu.Lock()
	require.EqualError(t, b.pending["store"], "connection refused")
	b.mu.Unlock()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, m.ready.wait(ctx))
	require.Equal(t, []string{"open other", "open store"}, b.events())
	require.Len(t, m.loaded(), 2)
	require.NoError(t, end())
}

func TestIgnoredErrorsDoNotHoldReadinessBack(t *testing.T) {
	b := &fakeBlock{kind: "state", failures: map[string]int{"store": 100}, err: errors.New("down")}
	m := newComponents(b)
	m.strict = true
	c := declare("store", "state.redis")
	c.Spec.IgnoreErrors = true
	done, end := start(t, m, c)
	<-done
	require.Empty(t, m.ready.missing())
	require.NoError(t, end())
}

func TestStrictModeEndsTheSidecar(t *testing.T) {
	b := &fakeBlock{kind: "state", failures: map[string]int{"store": 1}, err: errors.New("down")}
	m := newComponents(b)
	m.strict = true
	err := m.run(t.Context(), []*resource.Component{declare("store", "state.redis")}, nil, func() {})
	require.EqualError(t, err, "component store (state.redis/v1) cannot be opened: down; mend it, or set spec.ignoreErrors to go on without it")
}

func TestNoComponents(t *testing.T) {
	done, end := start(t, newComponents())
	<-done
	require.NoError(t, end())
}

func TestHideSecrets(t *testing.T) {
	spec := component.Spec{Metadata: map[string]string{"password": "hunter2", "host": "db"}, SecretKeys: map[string]bool{"password": true}}
	require.EqualError(t, hideSecrets(errors.New("dial db: user:hunter2 refused"), spec), "dial db: user:*** refused")
	plain := errors.New("dial db")
	require.Same(t, plain, hideSecrets(plain, spec))
}

func TestUpdatesOpenReplaceAndClose(t *testing.T) {
	b := &fakeBlock{kind: "state"}
	m := newComponents(b)
	updates := make(chan []*resource.Component)
	same, changed := declare("same", "state.redis"), declare("changed", "state.redis")
	done, end := startUpdated(t, m, updates, same, changed, declare("gone", "state.redis"))
	<-done
	b.mu.Lock()
	b.log = nil
	b.mu.Unlock()

	newer := declare("changed", "state.redis")
	newer.Spec.Version = "v2"
	updates <- []*resource.Component{declare("same", "state.redis"), newer, declare("added", "state.redis")}
	b.waitFor(t, "open changed")
	b.waitFor(t, "open added")
	b.waitFor(t, "close gone")
	require.NotContains(t, b.events(), "open same")
	require.NotContains(t, b.events(), "close changed", "the block replaces it without a gap")
	require.Eventually(t, func() bool { return len(m.loaded()) == 3 }, 5*time.Second, time.Millisecond)
	require.NoError(t, end())
}

func TestAFailingUpdateLeavesTheOldComponentReady(t *testing.T) {
	b := &fakeBlock{kind: "state", failures: map[string]int{}, err: errors.New("down")}
	m := newComponents(b)
	updates := make(chan []*resource.Component)
	done, end := startUpdated(t, m, updates, declare("store", "state.redis"))
	<-done
	b.mu.Lock()
	b.failures["store"] = 1000
	b.mu.Unlock()
	newer := declare("store", "state.redis")
	newer.Spec.Version = "v2"
	updates <- []*resource.Component{newer}
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.failures["store"] < 1000
	}, 5*time.Second, time.Millisecond)
	require.Empty(t, m.ready.missing())
	require.NotContains(t, b.events(), "close store")
	require.NoError(t, end())
}
