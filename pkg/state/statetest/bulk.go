package statetest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hyperdapr/dapr/pkg/state"
)

func (s *suite) bulk(t *testing.T) {
	const count = 60
	keys := make([]string, count)
	saves := make([]state.SaveRequest, count)
	for i := range keys {
		keys[i] = fmt.Sprint("bulk-", i)
		saves[i] = saveJSON(keys[i], fmt.Sprintf(`{"n":%d}`, i), state.Condition{})
	}
	noError(t, s.block.Save(t.Context(), s.store, saves))

	for _, parallelism := range []int{0, 1, 100} {
		t.Run(fmt.Sprint("get by ", parallelism), func(t *testing.T) {
			asked := append([]string{"bulk-none", keys[7]}, keys...) // one key twice
			items, err := s.block.BulkGet(t.Context(), s.store, asked, parallelism, nil)
			noError(t, err)
			if len(items) != len(asked) {
				t.Fatalf("%d items for %d keys", len(items), len(asked))
			}
			for i, item := range items {
				if item.Key != asked[i] || item.Err != "" {
					t.Fatalf("item %d is key %s with error %q, want key %s", i, item.Key, item.Err, asked[i])
				}
			}
			wantMissing(t, items[0])
			wantJSON(t, items[1].Data, `{"n":7}`)
			for i, item := range items[2:] {
				wantJSON(t, item.Data, fmt.Sprintf(`{"n":%d}`, i))
				if item.ETag == "" {
					t.Fatalf("key %s has no etag", item.Key)
				}
			}
		})
	}
	t.Run("get bytes", func(t *testing.T) {
		noError(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{{Key: "bulk-bytes", Value: []byte{0, 1, 255}}}))
		items, err := s.block.BulkGet(t.Context(), s.store, []string{"bulk-bytes"}, 0, nil)
		noError(t, err)
		if string(items[0].Data) != "\x00\x01\xff" {
			t.Fatalf("the value is %x, want 0001ff", items[0].Data)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		items, err := s.block.BulkGet(t.Context(), s.store, nil, 0, nil)
		noError(t, err)
		if items == nil || len(items) > 0 {
			t.Fatalf("items are %v, want an empty list", items)
		}
		noError(t, s.block.Save(t.Context(), s.store, nil))
		noError(t, s.block.DeleteBulk(t.Context(), s.store, nil))
	})
	t.Run("one fails", func(t *testing.T) {
		conflict(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{
			saveJSON(keys[0], `"saved"`, state.Condition{}),
			saveJSON(keys[1], `"lost"`, state.Condition{ETag: stale(s.get(t, keys[1]).ETag)}),
		}))
		wantJSON(t, s.get(t, keys[0]).Data, `"saved"`)
		wantJSON(t, s.get(t, keys[1]).Data, `{"n":1}`)
	})
	t.Run("one is malformed", func(t *testing.T) {
		err := s.block.Save(t.Context(), s.store, []state.SaveRequest{saveJSON("bulk-fine", `1`, state.Condition{}), saveJSON("", `1`, state.Condition{})})
		wantStatus(t, err, http.StatusBadRequest)
		wantMissing(t, s.get(t, "bulk-fine"))
	})
	t.Run("delete", func(t *testing.T) {
		deletes := make([]state.DeleteRequest, count)
		for i, key := range keys {
			deletes[i].Key = key
		}
		deletes[2].ETag = s.get(t, keys[2]).ETag
		deletes[3].ETag = stale(s.get(t, keys[3]).ETag)
		conflict(t, s.block.DeleteBulk(t.Context(), s.store, deletes))
		for i, key := range keys {
			if i != 3 {
				wantMissing(t, s.get(t, key))
			}
		}
		wantJSON(t, s.get(t, keys[3]).Data, `{"n":3}`)
	})
}

// stale returns an etag of the same form as a current one and another value.
func stale(etag string) string {
	b := []byte(etag)
	if b[0] == '1' {
		b[0] = '2'
	} else {
		b[0] = '1'
	}
	return string(b)
}
