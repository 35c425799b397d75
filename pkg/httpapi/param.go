package httpapi

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Param returns the path parameter of the matched route, URL-query-unescaped
// ("+" is a space); it is empty when the route's path has no such name.
//
// The value is read from the URL each time: the router leaves only the pattern
// in r.Pattern, so that a match costs no allocation. Keep the result when it is
// needed twice.
func Param(r *http.Request, name string) string {
	raw := RawParam(r, name)
	value, err := url.QueryUnescape(raw)
	if err != nil { // the router refuses such a URL before a handler sees it
		return raw
	}
	return value
}

// RawParam is Param without unescaping: what the client sent, after the path
// was cleaned. The path as it arrived is in r.URL.EscapedPath().
func RawParam(r *http.Request, name string) string {
	pattern, rest := r.Pattern, cleanPath(r.URL.EscapedPath())
	for pattern != "" && rest != "" {
		var want, got string
		tail := rest[1:]
		want, pattern = nextSegment(pattern)
		got, rest = nextSegment(rest)
		if !isParam(want) {
			continue
		}
		switch want = want[1 : len(want)-1]; {
		case want == name:
			return got
		case strings.TrimSuffix(want, "...") == name:
			return tail
		}
	}
	return ""
}

// Query returns the first value of the query parameter, unescaped, or "". It
// costs nothing when there is no query, unlike r.URL.Query().
func Query(r *http.Request, name string) string {
	for key, value := range queryPairs(r.URL.RawQuery) {
		if key == name {
			return value
		}
	}
	return ""
}

// Metadata returns the query's "metadata.x=y" pairs as {"x": "y"}; nil when
// there are none. The first of several values wins.
func Metadata(r *http.Request) map[string]string {
	var m map[string]string
	for key, value := range queryPairs(r.URL.RawQuery) {
		key, ok := strings.CutPrefix(key, "metadata.")
		if !ok {
			continue
		}
		if m == nil {
			m = make(map[string]string)
		}
		if _, dup := m[key]; !dup {
			m[key] = value
		}
	}
	return m
}

// queryPairs yields the unescaped pairs of a query in order. Pairs that cannot
// be unescaped are skipped, as net/url does.
func queryPairs(query string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for query != "" {
			var pair string
			pair, query, _ = strings.Cut(query, "&")
			key, value, _ := strings.Cut(pair, "=")
			key, err := url.QueryUnescape(key)
			if err != nil || key == "" {
				continue
			}
			if value, err = url.QueryUnescape(value); err != nil {
				continue
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// nextSegment splits "/a/b" into "a" and "/b".
func nextSegment(p string) (segment, rest string) {
	p = p[1:]
	if i := strings.IndexByte(p, '/'); i >= 0 {
		return p[:i], p[i:]
	}
	return p, ""
}

// cleanPath resolves "//", "." and ".." in an escaped path and keeps a trailing
// slash. A clean path, which is nearly every one, comes back as it is.
func cleanPath(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	cleaned := path.Clean(p)
	if cleaned != "/" && (strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")) {
		cleaned += "/"
	}
	return cleaned
}
