// Package component holds what every kind of component shares: its resolved
// specification, the registry of compiled-in drivers and the set of live
// instances.
package component

import (
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// Spec is a component as a building block gets it: secrets, environment
// references and templates are already resolved.
type Spec struct {
	// Name is unique among the sidecar's components.
	Name string
	// Type is "category.driver", such as "state.redis".
	Type string
	// Version is "v1" unless the resource says otherwise.
	Version string
	// Namespace is the resource's namespace; empty outside Kubernetes.
	Namespace string
	// Metadata is the driver's configuration. It can hold secrets: never log it.
	Metadata map[string]string
	// SecretKeys are the names in Metadata whose values came from a secret store.
	SecretKeys map[string]bool
	// IgnoreErrors makes a failing Open a warning.
	IgnoreErrors bool
	// InitTimeout bounds one attempt to open; 5 s unless the resource says
	// otherwise.
	InitTimeout time.Duration
}

// Category is the part of the type before the driver's name: "state" of
// "state.redis", "middleware.http" of "middleware.http.cors".
func (s Spec) Category() string {
	if strings.HasPrefix(s.Type, "middleware.http.") {
		return "middleware.http"
	}
	category, _, _ := strings.Cut(s.Type, ".")
	return category
}

// Property returns the metadata value of the name, whatever its case, and
// whether there is one.
func (s Spec) Property(name string) (string, bool) {
	if v, ok := s.Metadata[name]; ok {
		return v, true
	}
	for k, v := range s.Metadata {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

// LogName is how log lines and errors name the component: "name (type/version)".
func (s Spec) LogName() string { return fmt.Sprintf("%s (%s/%s)", s.Name, s.Type, s.Version) }

// Factory makes a driver that is not opened yet.
type Factory[T any] func(*slog.Logger) T

// Registry maps component types to drivers. It is filled while the program
// initialises and only read afterwards.
type Registry[T any] struct {
	factories map[string]Factory[T]
}

// Register adds a driver for a type and its versions; no version means v1, and
// v1 also answers to an empty version. It panics on a duplicate: two drivers
// that fight for one type are a programming error.
func (r *Registry[T]) Register(typ string, f Factory[T], versions ...string) {
	if len(versions) == 0 {
		versions = []string{"v1"}
	}
	if r.factories == nil {
		r.factories = make(map[string]Factory[T])
	}
	for _, v := range versions {
		if _, dup := r.factories[key(typ, v)]; dup {
			panic("component: driver registered twice: " + key(typ, v))
		}
		r.factories[key(typ, v)] = f
	}
}

// New makes the driver for the spec's type and version; its errors are those of
// Check.
func (r *Registry[T]) New(s Spec, l *slog.Logger) (T, error) {
	if err := r.Check(s); err != nil {
		var zero T
		return zero, err
	}
	return r.factories[key(s.Type, s.Version)](l), nil
}

// Check tells whether there is a driver for the spec's type and version. The
// error names the nearest types, or the versions there are.
func (r *Registry[T]) Check(s Spec) error {
	if _, ok := r.factories[key(s.Type, s.Version)]; ok {
		return nil
	}
	var names, versions []string
	for _, t := range r.Types() {
		name, v, _ := strings.Cut(t, "/")
		if strings.EqualFold(name, s.Type) {
			versions = append(versions, v)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	hint := "; known types: " + strings.Join(names, ", ")
	switch likely := nearest.Name(s.Type, names); {
	case len(versions) > 0:
		return fmt.Errorf("component %s: type %s has no version %s; use %s", s.Name, s.Type, s.Version, strings.Join(versions, " or "))
	case likely != "":
		hint = fmt.Sprintf("; did you mean %s?", likely)
	case len(names) == 0:
		hint = ""
	}
	return fmt.Errorf("component %s: no driver for type %s%s", s.Name, s.Type, hint)
}

func key(typ, version string) string {
	if version == "" {
		version = "v1"
	}
	return strings.ToLower(typ + "/" + version)
}

// Types lists what is registered as "type/version", sorted.
func (r *Registry[T]) Types() []string {
	types := make([]string, 0, len(r.factories))
	for t := range r.factories {
		types = append(types, t)
	}
	sort.Strings(types)
	return types
}

// Set is the instances of one kind, by component name. A component that is
// declared but could not be opened yet is pending. The zero value is an empty
// set. It is safe for concurrent use.
type Set[T any] struct {
	mu      sync.RWMutex
	items   map[string]T
	pending map[string]error
}

// Get returns the open instance with the name.
func (s *Set[T]) Get(name string) (T, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.items[name]
	return v, ok
}

// Put adds or replaces an open instance and returns the one that was there.
func (s *Set[T]) Put(name string, v T) (old T, replaced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		s.items = make(map[string]T)
	}
	old, replaced = s.items[name]
	s.items[name] = v
	delete(s.pending, name)
	return old, replaced
}

// Pend records that the component is declared but not open, and why.
func (s *Set[T]) Pend(name string, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = make(map[string]error)
	}
	s.pending[name] = reason
}

// Pending returns why a declared component is not open, or nil.
func (s *Set[T]) Pending(name string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.pending[name]
}

// Delete forgets a component and returns the instance that was open.
func (s *Set[T]) Delete(name string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.items[name]
	delete(s.items, name)
	delete(s.pending, name)
	return v, ok
}

// Names lists the declared components, open or pending, sorted.
func (s *Set[T]) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.items)+len(s.pending))
	for n := range s.items {
		names = append(names, n)
	}
	for n := range s.pending {
		if _, open := s.items[n]; !open {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}

// Len is the number of declared components, open or pending.
func (s *Set[T]) Len() int { return len(s.Names()) }
