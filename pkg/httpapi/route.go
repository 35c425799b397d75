// Package httpapi is the HTTP face's kit: routes, the middleware chain, the
// server and the one place where errors are written.
package httpapi

import "net/http"

// HandlerFunc handles one API call. A returned error is written, logged and
// counted once, by the server; a handler that returns one has written nothing.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Route is one operation of the HTTP API.
type Route struct {
	// Methods are the HTTP methods; empty means any.
	Methods []string
	// Path is the pattern, such as "/v1.0/state/{store}/{key}". "{name}" is one
	// segment, "{name...}" the rest of the path. Read them with Param.
	Path string
	// Group and Version are what the API allow and deny lists name, such as
	// "state" and "v1".
	Group   string
	Version string
	// Name is the operation in API logs when URLs are obfuscated, such as
	// "GetState".
	Name string
	// Handler does the work.
	Handler HandlerFunc
	// AlwaysAllowed exempts the route from allow and deny lists and from the API
	// token (health checks).
	AlwaysAllowed bool
	// Public also serves the route on the public port, without authentication.
	Public bool
}
