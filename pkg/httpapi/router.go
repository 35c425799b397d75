package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// node is one segment of the routes' paths. A match walks from segment to
// segment and allocates nothing.
type node struct {
	static map[string]*node
	param  *node
	routes []*Route // whose path ends here
	rest   []*Route // whose path ends in "{name...}" from here on
}

// add puts the route into the tree. It fails when another route answers to the
// same method and path.
func (n *node) add(route *Route) error {
	ends := &n.routes
	for path := route.Path; path != ""; {
		var segment string
		segment, path = nextSegment(path)
		switch {
		case !isParam(segment):
			child := n.static[segment]
			if child == nil {
				child = new(node)
				if n.static == nil {
					n.static = make(map[string]*node)
				}
				n.static[segment] = child
			}
			n = child
		case strings.HasSuffix(segment, "...}"):
			ends, path = &n.rest, ""
			continue
		default:
			if n.param == nil {
				n.param = new(node)
			}
			n = n.param
		}
		ends = &n.routes
	}
	for _, other := range *ends {
		if overlap(route.Methods, other.Methods) {
			return fmt.Errorf("routes %s %v and %s %v overlap", route.Path, route.Methods, other.Path, other.Methods)
		}
	}
	*ends = append(*ends, route)
	return nil
}

// match returns the route for a clean escaped path, or nil. A path with a
// trailing slash that has no route of its own is tried without it.
func (n *node) match(method, path string) *Route {
	if route := n.find(method, path); route != nil {
		return route
	}
	if len(path) > 1 && path[len(path)-1] == '/' {
		return n.find(method, path[:len(path)-1])
	}
	return nil
}

// find prefers a fixed segment to a parameter and a parameter to the rest, and
// turns back when the preferred way ends without a route for the method.
func (n *node) find(method, path string) *Route {
	if path == "" {
		return pick(n.routes, method)
	}
	segment, tail := nextSegment(path)
	if child := n.static[segment]; child != nil {
		if route := child.find(method, tail); route != nil {
			return route
		}
	}
	if n.param != nil && segment != "" {
		if route := n.param.find(method, tail); route != nil {
			return route
		}
	}
	return pick(n.rest, method)
}

func pick(routes []*Route, method string) *Route {
	for _, route := range routes {
		if len(route.Methods) == 0 || slices.Contains(route.Methods, method) {
			return route
		}
	}
	return nil
}

func overlap(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

func isParam(segment string) bool {
	return len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}'
}

// route finds the request's route and leaves its pattern in the request, from
// which Param reads.
func (s *Server) route(r *http.Request) *Route {
	route := s.root.match(r.Method, cleanPath(r.URL.EscapedPath()))
	if route == nil {
		route = &s.fallback
	}
	r.Pattern = route.Path
	return route
}
