package statetest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/state"
)

func (s *suite) etags(t *testing.T) {
	// saved returns the etags of two writes, the older of which is stale.
	saved := func(t *testing.T, key string) (stale, current string) {
		t.Helper()
		s.save(t, key, `1`)
		stale = s.get(t, key).ETag
		s.save(t, key, `2`)
		current = s.get(t, key).ETag
		if stale == "" || current == "" || stale == current {
			t.Fatalf("two writes have the etags %q and %q", stale, current)
		}
		return stale, current
	}

	t.Run("reading keeps it", func(t *testing.T) {
		_, current := saved(t, "etag-read")
		if again := s.get(t, "etag-read").ETag; again != current {
			t.Fatalf("the etag went from %s to %s without a write", current, again)
		}
	})
	for _, concurrency := range []string{"", "first-write"} {
		t.Run("save "+concurrency, func(t *testing.T) {
			key := "etag-save-" + concurrency
			stale, current := saved(t, key)
			conflict(t, s.trySave(t, key, `3`, state.Condition{ETag: stale, Concurrency: concurrency}))
			wantJSON(t, s.get(t, key).Data, `2`)
			noError(t, s.trySave(t, key, `4`, state.Condition{ETag: current, Concurrency: concurrency}))
			wantJSON(t, s.get(t, key).Data, `4`)
			conflict(t, s.trySave(t, key, `5`, state.Condition{ETag: current, Concurrency: concurrency}))
		})
		t.Run("delete "+concurrency, func(t *testing.T) {
			key := "etag-delete-" + concurrency
			stale, current := saved(t, key)
			conflict(t, s.tryDelete(t, key, state.Condition{ETag: stale, Concurrency: concurrency}))
			wantJSON(t, s.get(t, key).Data, `2`)
			noError(t, s.tryDelete(t, key, state.Condition{ETag: current, Concurrency: concurrency}))
			wantMissing(t, s.get(t, key))
		})
	}
	t.Run("last-write ignores it", func(t *testing.T) {
		stale, _ := saved(t, "etag-last")
		noError(t, s.trySave(t, "etag-last", `3`, state.Condition{ETag: stale, Concurrency: "last-write"}))
		wantJSON(t, s.get(t, "etag-last").Data, `3`)
		noError(t, s.tryDelete(t, "etag-last", state.Condition{ETag: stale, Concurrency: "last-write"}))
		wantMissing(t, s.get(t, "etag-last"))
	})
	t.Run("of a key that is gone", func(t *testing.T) {
		_, current := saved(t, "etag-gone")
		noError(t, s.tryDelete(t, "etag-gone", state.Condition{}))
		conflict(t, s.trySave(t, "etag-gone", `3`, state.Condition{ETag: current}))
		wantMissing(t, s.get(t, "etag-gone"))
		conflict(t, s.tryDelete(t, "etag-gone", state.Condition{ETag: current}))
	})
	t.Run("that no store would give", func(t *testing.T) {
		saved(t, "etag-bad")
		wantStatus(t, s.trySave(t, "etag-bad", `3`, state.Condition{ETag: "no etag"}), http.StatusBadRequest, http.StatusConflict)
		wantStatus(t, s.tryDelete(t, "etag-bad", state.Condition{ETag: "no etag"}), http.StatusBadRequest, http.StatusConflict)
		wantJSON(t, s.get(t, "etag-bad").Data, `2`)
	})
	t.Run("no update is lost", func(t *testing.T) {
		const writers, increments = 4, 10
		s.save(t, "etag-counter", `0`)
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for done := 0; done < increments; {
					if s.increment(t, "etag-counter") {
						done++
					}
					if t.Failed() {
						return
					}
				}
			})
		}
		wg.Wait()
		wantJSON(t, s.get(t, "etag-counter").Data, strconv.Itoa(writers*increments))
	})
}

// increment adds one to the number, unless another writer comes between.
func (s *suite) increment(t *testing.T, key string) bool {
	t.Helper()
	item, err := s.block.Get(t.Context(), s.store, state.GetRequest{Key: key})
	if err != nil {
		t.Error(err)
		return false
	}
	n, err := strconv.Atoi(string(item.Data))
	if err != nil {
		t.Error(err)
		return false
	}
	err = s.trySave(t, key, strconv.Itoa(n+1), state.Condition{ETag: item.ETag, Concurrency: "first-write"})
	if err != nil && !isConflict(err) {
		t.Error(err)
	}
	return err == nil
}

func isConflict(err error) bool {
	var e *apierror.Error
	return errors.As(err, &e) && e.HTTP == http.StatusConflict
}

func (s *suite) firstWrite(t *testing.T) {
	create := state.Condition{Concurrency: "first-write"}

	t.Run("only creates", func(t *testing.T) {
		noError(t, s.trySave(t, "first-new", `1`, create))
		conflict(t, s.trySave(t, "first-new", `2`, create))
		wantJSON(t, s.get(t, "first-new").Data, `1`)
	})
	t.Run("on a key saved without", func(t *testing.T) {
		s.save(t, "first-old", `1`)
		conflict(t, s.trySave(t, "first-old", `2`, create))
		wantJSON(t, s.get(t, "first-old").Data, `1`)
	})
	t.Run("does not bind later writes", func(t *testing.T) {
		noError(t, s.trySave(t, "first-later", `1`, create))
		s.save(t, "first-later", `2`)
		noError(t, s.trySave(t, "first-later", `3`, state.Condition{Concurrency: "last-write"}))
		wantJSON(t, s.get(t, "first-later").Data, `3`)
	})
	t.Run("after a delete", func(t *testing.T) {
		noError(t, s.trySave(t, "first-again", `1`, create))
		noError(t, s.tryDelete(t, "first-again", state.Condition{}))
		noError(t, s.trySave(t, "first-again", `2`, create))
		wantJSON(t, s.get(t, "first-again").Data, `2`)
	})
	t.Run("in bulk", func(t *testing.T) {
		s.save(t, "first-bulk-old", `"old"`)
		conflict(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{
			saveJSON("first-bulk-old", `"changed"`, create),
			saveJSON("first-bulk-new", `"new"`, create),
		}))
		wantJSON(t, s.get(t, "first-bulk-old").Data, `"old"`)
		wantJSON(t, s.get(t, "first-bulk-new").Data, `"new"`)
	})
	t.Run("has one winner", func(t *testing.T) {
		const writers, rounds = 8, 5
		for round := range rounds {
			key := fmt.Sprint("first-race-", round)
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					switch err := s.trySave(t, key, strconv.Itoa(i), create); {
					case err == nil:
						won.Add(1)
					case !isConflict(err):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("%d of %d writers created the key", won.Load(), writers)
			}
		}
	})
}
