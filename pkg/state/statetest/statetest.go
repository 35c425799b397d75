// Package statetest is the conformance suite of state stores: what an app may
// expect of any of them. It drives the building block, not the driver, so that
// a store passes with what the block adds.
package statetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Run runs the suite against the store that spec describes; its driver must be
// registered, its server must run and its contents may be changed. The store
// must have etags, transactions and a time to live.
func Run(t *testing.T, spec component.Spec) {
	t.Helper()
	s := suite{block: newBlock(t), spec: spec, store: spec.Name}
	s.open(t, spec)
	for _, want := range []string{"ETAG", "TRANSACTIONAL", "TTL", "ACTOR"} {
		if !slices.Contains(s.block.Capabilities(s.store), want) {
			t.Errorf("capabilities are %v, want %s among them", s.block.Capabilities(s.store), want)
		}
	}
	t.Run("values", s.values)
	t.Run("keys", s.keys)
	t.Run("etags", s.etags)
	t.Run("first write", s.firstWrite)
	t.Run("time to live", s.timeToLive)
	t.Run("bulk", s.bulk)
	t.Run("transactions", s.transactions)
	t.Run("options", s.options)
	t.Run("prefixes", s.prefixes)
	t.Run("concurrency", s.concurrency)
}

// RunDurable checks that values outlive the block that wrote them, for stores
// whose contents do not end with the sidecar.
func RunDurable(t *testing.T, spec component.Spec) {
	t.Helper()
	before := suite{block: newBlock(t), spec: spec, store: spec.Name}
	before.open(t, spec)
	before.save(t, "durable", `{"kept":true}`)
	if err := before.block.Close(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	after := suite{block: newBlock(t), spec: spec, store: spec.Name}
	after.open(t, spec)
	wantJSON(t, after.get(t, "durable").Data, `{"kept":true}`)
}

type suite struct {
	block *state.Block
	spec  component.Spec
	store string
}

func newBlock(t *testing.T) *state.Block {
	t.Helper()
	return state.New(state.Options{AppID: "app", Namespace: "ns", Log: telemetry.Discard(), Metrics: telemetry.NewMetrics("app")})
}

// open opens a component and closes it at the end of the test.
func (s *suite) open(t *testing.T, spec component.Spec) {
	t.Helper()
	if err := s.block.Open(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := s.block.Close(ctx, spec.Name); err != nil {
			t.Error(err)
		}
	})
}

// beside opens the same store as a second component with another key prefix.
func (s *suite) beside(t *testing.T, name, keyPrefix string) *suite {
	t.Helper()
	spec := s.spec
	spec.Name = name
	spec.Metadata = maps.Clone(spec.Metadata)
	if spec.Metadata == nil {
		spec.Metadata = map[string]string{}
	}
	spec.Metadata["keyPrefix"] = keyPrefix
	other := &suite{block: s.block, spec: spec, store: name}
	other.open(t, spec)
	return other
}

func (s *suite) get(t *testing.T, key string) state.Item {
	t.Helper()
	item, err := s.block.Get(t.Context(), s.store, state.GetRequest{Key: key})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return item
}

func (s *suite) save(t *testing.T, key, json string) {
	t.Helper()
	if err := s.trySave(t, key, json, state.Condition{}); err != nil {
		t.Fatalf("save %s: %v", key, err)
	}
}

func (s *suite) trySave(t *testing.T, key, json string, c state.Condition) error {
	t.Helper()
	return s.block.Save(t.Context(), s.store, []state.SaveRequest{saveJSON(key, json, c)})
}

func saveJSON(key, json string, c state.Condition) state.SaveRequest {
	return state.SaveRequest{Key: key, Value: []byte(json), JSON: true, Condition: c}
}

func (s *suite) tryDelete(t *testing.T, key string, c state.Condition) error {
	t.Helper()
	return s.block.Delete(t.Context(), s.store, state.DeleteRequest{Key: key, Condition: c})
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus checks that err is an API error with one of the HTTP statuses.
func wantStatus(t *testing.T, err error, statuses ...int) {
	t.Helper()
	var e *apierror.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v, want an API error with status %v", err, statuses)
	}
	if !slices.Contains(statuses, e.HTTP) {
		t.Fatalf("the status is %d (%v), want %v", e.HTTP, err, statuses)
	}
}

// conflict checks that err says that the etag does not match.
func conflict(t *testing.T, err error) {
	t.Helper()
	wantStatus(t, err, http.StatusConflict)
}

func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	if !sameJSON(got, want) {
		t.Fatalf("the value is %s, want %s", clip(got), clip([]byte(want)))
	}
}

// sameJSON compares values and not bytes: a store may keep JSON in its own form.
func sameJSON(got []byte, want string) bool {
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
		return false
	}
	return reflect.DeepEqual(g, w)
}

func wantMissing(t *testing.T, item state.Item) {
	t.Helper()
	if len(item.Data) > 0 || item.ETag != "" {
		t.Fatalf("the key has the value %s with etag %q, want none", clip(item.Data), item.ETag)
	}
}

func clip(b []byte) string {
	const most = 200
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(bytes.ToValidUTF8(b, []byte(".")))
}

// eventually polls until ok or the test has waited too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 15 s: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func long(n int) string { return strings.Repeat("long-", n/5) }
