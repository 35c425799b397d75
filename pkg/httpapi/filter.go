package httpapi

import (
	"slices"

	"github.com/hyperdapr/dapr/pkg/apifilter"
)

// Filter returns the routes that the filter offers, and those that are always
// allowed. It leaves its argument as it is.
func Filter(routes []Route, f apifilter.Filter) []Route {
	return slices.DeleteFunc(slices.Clone(routes), func(r Route) bool { return !offered(r, f) })
}

func offered(r Route, f apifilter.Filter) bool {
	return r.AlwaysAllowed || f.Allows(apifilter.Operation{
		Protocol: apifilter.HTTP,
		Group:    r.Group,
		Version:  r.Version,
		Path:     r.Path,
	})
}
