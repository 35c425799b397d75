package statetest

import (
	"net/http"
	"testing"

	"github.com/hyperdapr/dapr/pkg/state"
)

func (s *suite) options(t *testing.T) {
	for _, consistency := range []string{"", "eventual", "strong"} {
		t.Run("consistency "+consistency, func(t *testing.T) {
			key := "options-" + consistency
			noError(t, s.trySave(t, key, `1`, state.Condition{Consistency: consistency}))
			item, err := s.block.Get(t.Context(), s.store, state.GetRequest{Key: key, Consistency: consistency})
			noError(t, err)
			wantJSON(t, item.Data, `1`)
			noError(t, s.tryDelete(t, key, state.Condition{Consistency: consistency}))
			wantMissing(t, s.get(t, key))
		})
	}
	for name, c := range map[string]state.Condition{
		"consistency": {Consistency: "loose"},
		"concurrency": {Concurrency: "second-write"},
	} {
		t.Run("unknown "+name, func(t *testing.T) {
			wantStatus(t, s.trySave(t, "options-unknown", `1`, c), http.StatusBadRequest)
			wantStatus(t, s.tryDelete(t, "options-unknown", c), http.StatusBadRequest)
			wantMissing(t, s.get(t, "options-unknown"))
		})
	}
}

func (s *suite) prefixes(t *testing.T) {
	const key = "prefixed"
	first, second := s.beside(t, "first", "name"), s.beside(t, "second", "name")
	namespaced, bare := s.beside(t, "third", "namespace"), s.beside(t, "fourth", "none")
	all := []*suite{s, first, second, namespaced, bare}
	for _, one := range all {
		one.save(t, key, `"`+one.store+`"`)
	}
	for _, one := range all {
		wantJSON(t, one.get(t, key).Data, `"`+one.store+`"`)
		items, err := one.block.BulkGet(t.Context(), one.store, []string{key}, 0, nil)
		noError(t, err)
		if items[0].Key != key {
			t.Fatalf("the key is %s, want the one that was asked for", items[0].Key)
		}
		wantJSON(t, items[0].Data, `"`+one.store+`"`)
	}
	noError(t, first.tryDelete(t, key, state.Condition{}))
	wantMissing(t, first.get(t, key))
	wantJSON(t, second.get(t, key).Data, `"second"`)

	wantStatus(t, s.trySave(t, "app||"+key, `1`, state.Condition{}), http.StatusBadRequest)
	wantStatus(t, s.tryDelete(t, "first||"+key, state.Condition{}), http.StatusBadRequest)
}
