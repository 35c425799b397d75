package statetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperdapr/dapr/pkg/state"
)

func (s *suite) values(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		wantMissing(t, s.get(t, "values-none"))
		noError(t, s.tryDelete(t, "values-none", state.Condition{}))
	})

	for name, value := range map[string]string{
		"object":  `{"orderId":42,"nested":{"list":[1,2,3],"none":null}}`,
		"array":   `[1,"two",{"three":3}]`,
		"string":  `"with \"quotes\", a \\ and \u00e9"`,
		"empty":   `""`,
		"number":  `42`,
		"decimal": `-1.5`,
		"true":    `true`,
		"null":    `null`,
		"unicode": `{"grüße":"世界 🚀","html":"<a href='x'>&</a>"}`,
		"spaces":  "{ \"a\" :\n\t1 }",
		"big":     `{"text":"` + strings.Repeat("0123456789abcdef", 1<<16) + `"}`,
	} {
		t.Run("json "+name, func(t *testing.T) {
			key := "values-json-" + name
			s.save(t, key, value)
			wantJSON(t, s.get(t, key).Data, value)
		})
	}

	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"every byte":    all,
		"text":          []byte("no JSON"),
		"json as bytes": []byte(`{ "spaces" : "kept" }`),
		"separator":     []byte("a||b"),
		"big":           bytes.Repeat(all, 1<<12),
	} {
		t.Run("bytes "+name, func(t *testing.T) {
			key := "values-bytes-" + strings.ReplaceAll(name, " ", "-")
			noError(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{{Key: key, Value: bytes.Clone(value)}}))
			if got := s.get(t, key); !bytes.Equal(got.Data, value) {
				t.Fatalf("%d bytes came back as %d: %s", len(value), len(got.Data), clip(got.Data))
			}
		})
	}

	t.Run("empty bytes are no error", func(t *testing.T) {
		noError(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{{Key: "values-empty"}}))
		if got := s.get(t, "values-empty"); len(got.Data) > 0 {
			t.Fatalf("the value is %s, want an empty one", clip(got.Data))
		}
	})

	t.Run("the last one counts", func(t *testing.T) {
		for i := range 3 {
			s.save(t, "values-last", fmt.Sprint(i))
		}
		wantJSON(t, s.get(t, "values-last").Data, "2")
		noError(t, s.block.Save(t.Context(), s.store, []state.SaveRequest{{Key: "values-last", Value: []byte("bytes")}}))
		if got := s.get(t, "values-last"); string(got.Data) != "bytes" {
			t.Fatalf("the value is %s, want bytes", got.Data)
		}
	})

	t.Run("deleted", func(t *testing.T) {
		s.save(t, "values-deleted", `1`)
		noError(t, s.tryDelete(t, "values-deleted", state.Condition{}))
		wantMissing(t, s.get(t, "values-deleted"))
	})
}

func (s *suite) keys(t *testing.T) {
	keys := []string{
		"simple", "with space", "with/slash", "with|bar", "with:colon", "with%percent", "with_underscore", "withXunderscore",
		"with'quote", `with"quotes"`, `with\backslash`, "ключ", "キー", "Case", "case", "CASE", "dotted.key", "trailing ", "trailing",
		"emoji-🚀", long(200),
	}
	for i, key := range keys {
		s.save(t, key, fmt.Sprint(i))
	}
	for i, key := range keys {
		var got int
		if data := s.get(t, key).Data; json.Unmarshal(data, &got) != nil || got != i {
			t.Errorf("key %q has the value %s, want %d: it is not told from another key", key, data, i)
		}
	}
}
