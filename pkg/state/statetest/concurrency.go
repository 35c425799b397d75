package statetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/hyperdapr/dapr/pkg/state"
)

// concurrency lets many callers work on keys of their own: none may fail, and
// each must read what it wrote.
func (s *suite) concurrency(t *testing.T) {
	const callers, rounds = 32, 10
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				if err := s.turn(t, fmt.Sprintf("concurrency-%d-%d", caller, round)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (s *suite) turn(t *testing.T, key string) error {
	t.Helper()
	ctx, value := t.Context(), fmt.Sprintf(`{"key":%q}`, key)
	if err := s.trySave(t, key, value, state.Condition{}); err != nil {
		return err
	}
	item, err := s.block.Get(ctx, s.store, state.GetRequest{Key: key})
	if err != nil {
		return err
	}
	if !sameJSON(item.Data, value) {
		return fmt.Errorf("key %s has the value %s", key, item.Data)
	}
	operations := []state.Operation{
		upsert(key+"-beside", value, state.Condition{}),
		upsert(key, `"changed"`, state.Condition{ETag: item.ETag}),
	}
	if err := s.block.Transact(ctx, s.store, operations, nil); err != nil {
		return err
	}
	items, err := s.block.BulkGet(ctx, s.store, []string{key, key + "-beside"}, 0, nil)
	if err != nil {
		return err
	}
	if !sameJSON(items[0].Data, `"changed"`) || !sameJSON(items[1].Data, value) {
		return fmt.Errorf("key %s has the values %s and %s", key, items[0].Data, items[1].Data)
	}
	return s.tryDelete(t, key, state.Condition{ETag: items[0].ETag})
}
