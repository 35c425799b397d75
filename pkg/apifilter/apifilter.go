// Package apifilter decides which operations of the API a sidecar offers, by
// the allow and deny lists of its Configuration.
package apifilter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// The faces of the API, as rules name them.
const (
	HTTP = "http"
	GRPC = "grpc"
)

// Rule names operations. The zero value names none.
type Rule struct {
	// Name is a group, such as "state"; or, older, what follows the version in
	// the path of an HTTP operation, such as "state" or "publish/bulk".
	Name string
	// Version is "v1", "v1alpha1", "v1beta1" …, or "v1.0", "v1.0-alpha1" … as in
	// a path. Empty is every version.
	Version string
	// Protocol is HTTP or GRPC; empty is both.
	Protocol string
}

// Filter is the two lists. The zero value allows everything.
type Filter struct {
	// Allowed, when it has a rule for the operation's protocol, allows only what
	// its rules name.
	Allowed []Rule
	// Denied wins over Allowed.
	Denied []Rule
}

// Operation is what a filter judges.
type Operation struct {
	Protocol string
	Group    string
	Version  string
	// Path is the HTTP route's pattern; empty on the gRPC face.
	Path string
}

// Allows reports whether the operation is offered.
func (f Filter) Allows(op Operation) bool {
	names := func(r Rule) bool { return r.names(op) }
	if slices.ContainsFunc(f.Denied, names) {
		return false
	}
	concerns := func(r Rule) bool { return r.concerns(op.Protocol) }
	return !slices.ContainsFunc(f.Allowed, concerns) || slices.ContainsFunc(f.Allowed, names)
}

// Validate finds rules that could never name an operation: a misspelled deny
// rule leaves open what it should close.
func (f Filter) Validate() error {
	for _, list := range []struct {
		field string
		rules []Rule
	}{{"allowed", f.Allowed}, {"denied", f.Denied}} {
		for i, r := range list.rules {
			if err := r.validate(); err != nil {
				return fmt.Errorf("spec.api.%s[%d].%w", list.field, i, err)
			}
		}
	}
	return nil
}

func (r Rule) concerns(protocol string) bool {
	return r.Protocol == "" || strings.EqualFold(r.Protocol, protocol)
}

func (r Rule) names(op Operation) bool {
	if r.Name == "" || !r.concerns(op.Protocol) {
		return false
	}
	if strings.EqualFold(r.Name, op.Group) && (r.Version == "" || canonical(r.Version) == canonical(op.Version)) {
		return true
	}
	prefix := strings.Trim(r.Version+"/"+r.Name, "/") + "/"
	return strings.HasPrefix(strings.TrimPrefix(op.Path, "/")+"/", prefix)
}

// canonical turns a path's version into a group's: "v1.0-alpha1" is "v1alpha1".
func canonical(version string) string {
	version = strings.ToLower(version)
	version = strings.Replace(version, ".0", "", 1)
	return strings.Replace(version, "-", "", 1)
}

// The groups and versions of the protocol, as rules may name them.
var (
	groups = []string{
		"actors", "bindings", "configuration", "conversation", "crypto", "healthz", "invoke", "jobs", "lock",
		"metadata", "publish", "secrets", "shutdown", "state", "subtlecrypto", "unlock", "workflows",
	}
	versions  = []string{"v1", "v1alpha1", "v1alpha2", "v1beta1"}
	protocols = []string{HTTP, GRPC}
)

func (r Rule) validate() error {
	group, _, isPath := strings.Cut(strings.Trim(r.Name, "/"), "/")
	if isPath && slices.Contains(versions, canonical(group)) {
		return nil // a whole path, with its version
	}
	if err := known("name", group, groups); err != nil {
		return err
	}
	if r.Version != "" {
		if err := known("version", canonical(r.Version), versions); err != nil {
			return err
		}
	}
	if r.Protocol != "" {
		return known("protocol", strings.ToLower(r.Protocol), protocols)
	}
	return nil
}

func known(field, value string, names []string) error {
	if slices.Contains(names, strings.ToLower(value)) {
		return nil
	}
	if n := nearest.Name(value, names); n != "" {
		return fmt.Errorf("%s: %q is unknown; did you mean %q?", field, value, n)
	}
	return fmt.Errorf("%s: %q is unknown; use one of %s", field, value, strings.Join(names, ", "))
}
