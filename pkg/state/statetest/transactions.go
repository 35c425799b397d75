package statetest

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/hyperdapr/dapr/pkg/state"
)

func upsert(key, json string, c state.Condition) state.Operation {
	return state.Operation{Type: "upsert", SaveRequest: saveJSON(key, json, c)}
}

func remove(key string, c state.Condition) state.Operation {
	return state.Operation{Type: "delete", SaveRequest: state.SaveRequest{Key: key, Condition: c}}
}

func (s *suite) transactions(t *testing.T) {
	transact := func(t *testing.T, operations ...state.Operation) error {
		t.Helper()
		return s.block.Transact(t.Context(), s.store, operations, nil)
	}

	t.Run("none", func(t *testing.T) { noError(t, transact(t)) })
	t.Run("one", func(t *testing.T) {
		noError(t, transact(t, upsert("tx-one", `1`, state.Condition{})))
		wantJSON(t, s.get(t, "tx-one").Data, `1`)
		noError(t, transact(t, remove("tx-one", state.Condition{})))
		wantMissing(t, s.get(t, "tx-one"))
	})
	t.Run("several", func(t *testing.T) {
		s.save(t, "tx-changed", `"before"`)
		s.save(t, "tx-deleted", `"before"`)
		noError(t, transact(t,
			upsert("tx-changed", `"after"`, state.Condition{ETag: s.get(t, "tx-changed").ETag}),
			remove("tx-deleted", state.Condition{ETag: s.get(t, "tx-deleted").ETag}),
			upsert("tx-created", `"after"`, state.Condition{Concurrency: "first-write"}),
			remove("tx-never", state.Condition{}),
		))
		wantJSON(t, s.get(t, "tx-changed").Data, `"after"`)
		wantMissing(t, s.get(t, "tx-deleted"))
		wantJSON(t, s.get(t, "tx-created").Data, `"after"`)
	})
	t.Run("bytes", func(t *testing.T) {
		noError(t, transact(t, state.Operation{Type: "upsert", SaveRequest: state.SaveRequest{Key: "tx-bytes", Value: []byte{0, 255}}},
			upsert("tx-bytes-beside", `1`, state.Condition{})))
		if got := s.get(t, "tx-bytes").Data; string(got) != "\x00\xff" {
			t.Fatalf("the value is %x, want 00ff", got)
		}
	})
	t.Run("many", func(t *testing.T) {
		operations := make([]state.Operation, 100)
		for i := range operations {
			operations[i] = upsert(fmt.Sprint("tx-many-", i), strconv.Itoa(i), state.Condition{})
		}
		noError(t, transact(t, operations...))
		for _, i := range []int{0, 50, 99} {
			wantJSON(t, s.get(t, fmt.Sprint("tx-many-", i)).Data, strconv.Itoa(i))
		}
	})

	for name, failing := range map[string]func(key string) state.Operation{
		"stale save": func(key string) state.Operation {
			return upsert(key, `"x"`, state.Condition{ETag: stale(s.get(t, key).ETag)})
		},
		"stale delete": func(key string) state.Operation { return remove(key, state.Condition{ETag: stale(s.get(t, key).ETag)}) },
		"create": func(key string) state.Operation {
			return upsert(key, `"x"`, state.Condition{Concurrency: "first-write"})
		},
	} {
		t.Run("all or none, "+name, func(t *testing.T) {
			a, b, c := "tx-a-"+name, "tx-b-"+name, "tx-c-"+name
			s.save(t, a, `"before"`)
			s.save(t, b, `"before"`)
			operations := []state.Operation{upsert(a, `"after"`, state.Condition{}), failing(b), upsert(c, `"after"`, state.Condition{})}
			wantStatus(t, transact(t, operations...), http.StatusInternalServerError)
			wantJSON(t, s.get(t, a).Data, `"before"`)
			wantJSON(t, s.get(t, b).Data, `"before"`)
			wantMissing(t, s.get(t, c))
		})
	}
	t.Run("unknown operation", func(t *testing.T) {
		err := transact(t, upsert("tx-unknown", `1`, state.Condition{}), state.Operation{Type: "increment", SaveRequest: state.SaveRequest{Key: "x"}})
		wantStatus(t, err, http.StatusBadRequest)
		wantMissing(t, s.get(t, "tx-unknown"))
	})
	t.Run("writers do not mix", func(t *testing.T) {
		const writers, rounds = 4, 15
		var wg sync.WaitGroup
		for writer := range writers {
			wg.Go(func() {
				for round := range rounds {
					value := strconv.Itoa(writer*rounds + round)
					if err := transact(t, upsert("tx-left", value, state.Condition{}), upsert("tx-right", value, state.Condition{})); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantJSON(t, s.get(t, "tx-left").Data, string(s.get(t, "tx-right").Data))
	})
}
