package statetest

import (
	"net/http"
	"testing"
	"time"

	"github.com/hyperdapr/dapr/pkg/state"
)

func ttl(seconds string) state.Condition {
	return state.Condition{Metadata: map[string]string{"ttlInSeconds": seconds}}
}

func (s *suite) timeToLive(t *testing.T) {
	for _, bad := range []string{"soon", "1.5", "-2", "99999999999"} {
		t.Run("refuses "+bad, func(t *testing.T) {
			wantStatus(t, s.trySave(t, "ttl-bad", `1`, ttl(bad)), http.StatusBadRequest)
			wantMissing(t, s.get(t, "ttl-bad"))
		})
	}

	t.Run("is told", func(t *testing.T) {
		noError(t, s.trySave(t, "ttl-told", `1`, ttl("100")))
		told, ok := s.get(t, "ttl-told").Metadata["ttlExpireTime"]
		if !ok { // not every store can tell
			return
		}
		at, err := time.Parse(time.RFC3339, told)
		if left := time.Until(at); err != nil || left < 90*time.Second || left > 110*time.Second {
			t.Fatalf("ttlExpireTime is %s, want about 100 s from now", told)
		}
	})

	// One wait serves all that follows: each value is there before and gone, or
	// not, after.
	kept := map[string]func(t *testing.T, key string){
		"without one":      func(t *testing.T, key string) { s.save(t, key, `1`) },
		"cleared by -1":    func(t *testing.T, key string) { noError(t, s.trySave(t, key, `1`, ttl("-1"))) },
		"cleared by none":  func(t *testing.T, key string) { s.save(t, key, `1`) },
		"set again, later": func(t *testing.T, key string) { noError(t, s.trySave(t, key, `1`, ttl("100"))) },
	}
	for name, write := range kept {
		if name != "without one" {
			noError(t, s.trySave(t, "ttl-"+name, `0`, ttl("3")))
		}
		write(t, "ttl-"+name)
	}
	expiring := []string{"ttl-plain", "ttl-overwritten", "ttl-created", "ttl-transaction"}
	s.save(t, "ttl-overwritten", `0`)
	for _, key := range expiring[:3] {
		noError(t, s.trySave(t, key, `{"short":"lived"}`, ttl("3")))
		wantJSON(t, s.get(t, key).Data, `{"short":"lived"}`)
	}
	noError(t, s.block.Transact(t.Context(), s.store, []state.Operation{
		{Type: "upsert", SaveRequest: saveJSON(expiring[3], `1`, ttl("3"))},
		{Type: "upsert", SaveRequest: saveJSON("ttl-beside", `1`, state.Condition{})},
	}, nil))
	wantJSON(t, s.get(t, expiring[3]).Data, `1`)
	etag := s.get(t, "ttl-created").ETag

	for _, key := range expiring {
		eventually(t, key+" is gone", func() bool { return len(s.get(t, key).Data) == 0 })
		wantMissing(t, s.get(t, key))
	}
	items, err := s.block.BulkGet(t.Context(), s.store, expiring, 0, nil)
	noError(t, err)
	for _, item := range items {
		wantMissing(t, item)
	}
	wantJSON(t, s.get(t, "ttl-beside").Data, `1`)
	for name := range kept {
		t.Run(name, func(t *testing.T) { wantJSON(t, s.get(t, "ttl-"+name).Data, `1`) })
	}

	t.Run("an expired value is none", func(t *testing.T) {
		conflict(t, s.trySave(t, "ttl-created", `2`, state.Condition{ETag: etag}))
		noError(t, s.trySave(t, "ttl-created", `3`, state.Condition{Concurrency: "first-write"}))
		wantJSON(t, s.get(t, "ttl-created").Data, `3`)
		noError(t, s.tryDelete(t, "ttl-plain", state.Condition{}))
	})
}
