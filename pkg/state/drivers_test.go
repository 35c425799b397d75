package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"

	contrib "github.com/dapr/components-contrib/state"
	inmemory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

func init() {
	register := func(typ string, wrap func(*inmemory.InMemoryStore) contrib.Store) {
		state.Drivers.Register(typ, func(l *slog.Logger) contrib.Store {
			return wrap(inmemory.NewInMemoryStateStore(telemetry.ForDriver(l)).(*inmemory.InMemoryStore))
		})
	}
	register("state.in-memory", func(s *inmemory.InMemoryStore) contrib.Store { return s })
	register("state.plain", func(s *inmemory.InMemoryStore) contrib.Store { return plain{s} })
	register("state.limited", func(s *inmemory.InMemoryStore) contrib.Store { return limited{s} })
	register("state.queried", func(s *inmemory.InMemoryStore) contrib.Store { return queried{s} })
	register("state.spied", func(s *inmemory.InMemoryStore) contrib.Store { return &spied{InMemoryStore: s} })
}

// plain is a driver without optional powers.
type plain struct{ contrib.Store }

func (plain) Features() []contrib.Feature { return []contrib.Feature{contrib.FeatureETag} }

// limited takes small transactions.
type limited struct{ *inmemory.InMemoryStore }

func (limited) MultiMaxSize() int { return 2 }

// queried answers every query with the same value of another app.
type queried struct{ *inmemory.InMemoryStore }

func (q queried) Features() []contrib.Feature {
	return append(q.InMemoryStore.Features(), contrib.FeatureQueryAPI)
}

func (queried) Query(_ context.Context, r *contrib.QueryRequest) (*contrib.QueryResponse, error) {
	etag := "1"
	response := &contrib.QueryResponse{Token: "next", Metadata: r.Metadata}
	if r.Query.Page.Limit > 0 {
		response.Results = []contrib.QueryItem{{Key: "other||found", Data: []byte(`{"a":1}`), ETag: &etag}}
	}
	return response, nil
}

// spied shows what reaches the driver and fails on demand. Each is in spies
// under its component's name once it is open.
type spied struct {
	*inmemory.InMemoryStore

	mu      sync.Mutex
	keys    []string
	fail    error
	entered chan struct{} // when not nil, Get announces itself on it
	leave   chan struct{} // and waits here
	closed  bool
}

var spies sync.Map

func spy(t *testing.T, name string) *spied {
	t.Helper()
	s, ok := spies.Load(name)
	require.True(t, ok, "no open component %s", name)
	return s.(*spied)
}

func (s *spied) Init(ctx context.Context, md contrib.Metadata) error {
	spies.Store(md.Name, s)
	if reason := md.Properties["fail"]; reason != "" {
		return errors.New(reason)
	}
	return s.InMemoryStore.Init(ctx, md)
}

func (s *spied) see(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, key)
	return s.fail
}

func (s *spied) Get(ctx context.Context, r *contrib.GetRequest) (*contrib.GetResponse, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
		<-s.leave
	}
	if err := s.see(r.Key); err != nil {
		return nil, err
	}
	return s.InMemoryStore.Get(ctx, r)
}

func (s *spied) Set(ctx context.Context, r *contrib.SetRequest) error {
	if err := s.see(r.Key); err != nil {
		return err
	}
	return s.InMemoryStore.Set(ctx, r)
}

func (s *spied) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.InMemoryStore.Close()
}

func (s *spied) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// raw is the value as the driver keeps it.
func (s *spied) raw(t *testing.T, key string) string {
	t.Helper()
	got, err := s.InMemoryStore.Get(t.Context(), &contrib.GetRequest{Key: key})
	require.NoError(t, err)
	return string(got.Data)
}

// put makes a value what the driver keeps.
func (s *spied) put(t *testing.T, key, value string) {
	t.Helper()
	require.NoError(t, s.InMemoryStore.Set(t.Context(), &contrib.SetRequest{Key: key, Value: []byte(value)}))
}

func newBlock(tb testing.TB, specs ...component.Spec) *state.Block {
	tb.Helper()
	b := state.New(state.Options{AppID: "app", Namespace: "ns", Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("app")})
	for _, s := range specs {
		open(tb, b, s)
	}
	return b
}

func open(tb testing.TB, b *state.Block, s component.Spec) {
	tb.Helper()
	require.NoError(tb, b.Open(tb.Context(), s))
	tb.Cleanup(func() { require.NoError(tb, b.Close(context.WithoutCancel(tb.Context()), s.Name)) })
}

func inMemory(name string) component.Spec {
	return component.Spec{Name: name, Type: "state.in-memory", Version: "v1"}
}

func spiedOn(name string, metadata map[string]string, secrets ...string) component.Spec {
	s := component.Spec{Name: name, Type: "state.spied", Version: "v1", Metadata: metadata, SecretKeys: map[string]bool{}}
	for _, k := range secrets {
		s.SecretKeys[k] = true
	}
	return s
}

func save(key, value string) []state.SaveRequest {
	return []state.SaveRequest{{Key: key, Value: json.RawMessage(value), JSON: true}}
}

func get(t *testing.T, b *state.Block, store, key string) state.Item {
	t.Helper()
	item, err := b.Get(t.Context(), store, state.GetRequest{Key: key})
	require.NoError(t, err)
	return item
}
