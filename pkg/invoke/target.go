package invoke

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

const (
	appIDHeader = "dapr-app-id"
	routePrefix = "/v1.0/invoke/"
)

// callee is an app in a namespace.
type callee struct{ appID, namespace string }

// parse reads "app" or "app.namespace".
func (b *Block) parse(target string) (callee, error) {
	id, namespace, has := strings.Cut(target, ".")
	switch {
	case !has:
		namespace = b.o.Namespace
	case strings.Contains(namespace, "."):
		return callee{}, fmt.Errorf("target %q has more than one dot: it is APP or APP.NAMESPACE", target)
	case namespace == "":
		return callee{}, fmt.Errorf("target %q has an empty namespace: it is APP or APP.NAMESPACE", target)
	}
	if id == "" {
		return callee{}, fmt.Errorf("target %q has an empty app id: it is APP or APP.NAMESPACE", target)
	}
	return callee{appID: id, namespace: namespace}, nil
}

func isURL(target string) bool {
	return strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://")
}

// targetOf finds in a request whom to call and which method: by the header
// dapr-app-id, by basic authentication, or by the path. Both of the former make
// the whole path the method; they are removed from the request.
func targetOf(r *http.Request) (target, method string, ok bool) {
	if ids := r.Header["Dapr-App-Id"]; len(ids) > 0 && ids[0] != "" {
		delete(r.Header, "Dapr-App-Id")
		return ids[0], strings.TrimPrefix(r.URL.Path, "/"), true
	}
	if id := basicAuth(r.Header); id != "" {
		delete(r.Header, "Authorization")
		return id, strings.TrimPrefix(r.URL.Path, "/"), true
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), routePrefix)
	if !ok {
		return "", "", false
	}
	target, method, ok = strings.Cut(rest, "/method/")
	if !ok {
		target, ok = strings.CutSuffix(rest, "/method")
	}
	if !ok || target == "" {
		return "", "", false
	}
	var err error
	if target, err = url.PathUnescape(target); err != nil {
		return "", "", false
	}
	if method, err = url.PathUnescape(method); err != nil {
		return "", "", false
	}
	return wholeURL(target), method, true
}

// basicAuth returns the app id of "dapr-app-id:<id>".
func basicAuth(h http.Header) string {
	values := h["Authorization"]
	if len(values) == 0 {
		return ""
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	id, ok := strings.CutPrefix(string(decoded), appIDHeader+":")
	if !ok {
		return ""
	}
	return id
}

// wholeURL repairs a URL of which something on the way, cleaning the path, took
// one of two slashes.
func wholeURL(target string) string {
	for _, scheme := range []string{"http:/", "https:/"} {
		if rest, ok := strings.CutPrefix(target, scheme); ok && !strings.HasPrefix(rest, "/") {
			return scheme + "/" + rest
		}
	}
	return target
}

// normalize makes a method the one path that everything after it sees: access
// rules, the other sidecar and the app. It is unescaped, has no leading slash
// and does not climb.
func normalize(method string) (string, error) {
	clean := true
	for i := range len(method) {
		switch c := method[i]; {
		case c == '#', c == '?', c < 0x20, c == 0x7f:
			return "", fmt.Errorf("method %q has the character %q, which no path can have: it must not be in the URL's path, not even escaped", method, c)
		case c == '/' && (i == 0 || i == len(method)-1 || method[i+1] == '/' || method[i+1] == '.'), c == '.' && i == 0:
			clean = false
		}
	}
	if clean {
		return method, nil
	}
	return path.Clean("/" + method)[1:], nil
}
