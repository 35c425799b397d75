package invoke

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargetOf(t *testing.T) {
	basic := func(user, password string) http.Header {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header
	}
	for _, tt := range []struct {
		name, url      string
		header         http.Header
		target, method string // both empty: there is none
	}{
		{name: "path", url: "/v1.0/invoke/a/method/b/c", target: "a", method: "b/c"},
		{name: "path with a namespace", url: "/v1.0/invoke/a.ns/method/b", target: "a.ns", method: "b"},
		{name: "the root method", url: "/v1.0/invoke/a/method/", target: "a"},
		{name: "the root method without a slash", url: "/v1.0/invoke/a/method", target: "a"},
		{name: "the method is unescaped", url: "/v1.0/invoke/a/method/b%20c%2Fd/%C3%BC", target: "a", method: "b c/d/ü"},
		{name: "a method that contains /method/", url: "/v1.0/invoke/a/method/b/method/c", target: "a", method: "b/method/c"},
		{name: "a raw URL", url: "/v1.0/invoke/http://h:1/method/b", target: "http://h:1", method: "b"},
		{name: "a raw URL with a path", url: "/v1.0/invoke/https://h/base/method/b", target: "https://h/base", method: "b"},
		{name: "a raw URL that lost a slash", url: "/v1.0/invoke/https:/h/method/b", target: "https://h", method: "b"},
		{name: "an escaped URL", url: "/v1.0/invoke/https%3A%2F%2Fh%3A1/method/b", target: "https://h:1", method: "b"},
		{name: "header", url: "/b/c?q", header: http.Header{"Dapr-App-Id": {"a"}}, target: "a", method: "b/c"},
		{name: "the header wins over the path", url: "/v1.0/invoke/x/method/b", header: http.Header{"Dapr-App-Id": {"a"}}, target: "a", method: "v1.0/invoke/x/method/b"},
		{name: "basic authentication", url: "/b", header: basic("dapr-app-id", "a"), target: "a", method: "b"},
		{name: "basic authentication wins over the path", url: "/v1.0/invoke/x/method/b", header: basic("dapr-app-id", "a"), target: "a", method: "v1.0/invoke/x/method/b"},
		{name: "another user's basic authentication is the app's", url: "/v1.0/invoke/x/method/b", header: basic("me", "pw"), target: "x", method: "b"},
		{name: "none", url: "/b"},
		{name: "no method", url: "/v1.0/invoke/a"},
		{name: "no id", url: "/v1.0/invoke//method/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.url, nil)
			if tt.header != nil {
				r.Header = tt.header
			}
			target, method, ok := targetOf(r)
			require.Equal(t, tt.target != "", ok)
			require.Equal(t, tt.target, target)
			require.Equal(t, tt.method, method)
			require.Empty(t, r.Header.Get("dapr-app-id"), "the header is used up")
			require.NotContains(t, basicAuth(r.Header), "a", "and so is the authorization")
		})
	}
}

func TestParse(t *testing.T) {
	b := &Block{o: Options{AppID: "me", Namespace: "home"}}
	for target, want := range map[string]callee{
		"a":      {"a", "home"},
		"a.away": {"a", "away"},
		"a-b_c":  {"a-b_c", "home"},
	} {
		got, err := b.parse(target)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for target, want := range map[string]string{
		"a.b.c": `"a.b.c" has more than one dot`,
		"a.":    "empty namespace",
		".ns":   "empty app id",
		"":      "empty app id",
	} {
		_, err := b.parse(target)
		require.ErrorContains(t, err, want)
	}
}

func TestNormalize(t *testing.T) {
	for method, want := range map[string]string{
		"":                 "",
		"a":                "a",
		"/a":               "a",
		"a/b":              "a/b",
		"a/b/":             "a/b",
		"a//b":             "a/b",
		"a/./b":            "a/b",
		"a/../b":           "b",
		"../a":             "a",
		"../../a/../../b":  "b",
		"..":               "",
		".":                "",
		".well-known/x":    ".well-known/x",
		"a/.hidden":        "a/.hidden",
		"a b/ü%2e":         "a b/ü%2e",
		"a/b.txt":          "a/b.txt",
		"//evil.com/a":     "evil.com/a",
		"a/...":            "a/...",
		`back\slash/..%2f`: `back\slash/..%2f`,
	} {
		got, err := normalize(method)
		require.NoError(t, err, method)
		require.Equal(t, want, got, method)
	}
	for _, method := range []string{"a#b", "a?b", "a\x00b", "a\nb", "a\x7fb", "\x1f"} {
		_, err := normalize(method)
		require.ErrorContains(t, err, "has the character", method)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"a/../b", "../..", "/./", "a//b/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, method string) {
		once, err := normalize(method)
		if err != nil {
			return
		}
		twice, err := normalize(once)
		require.NoError(t, err)
		require.Equal(t, once, twice, "what is normal stays")
		require.NotRegexp(t, `^/|(^|/)\.\.?(/|$)|//`, once)
	})
}
