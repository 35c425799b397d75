package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/resource"
)

// Block is a building block as the sidecar drives it. The sidecar calls Open,
// Close and Pend from one goroutine for one component at a time; calls for
// different components may overlap.
type Block interface {
	// Kind is the category of the components it owns, such as "state"; empty for
	// a block without components.
	Kind() string
	// Open makes the component usable, replacing one of the same name. It
	// returns before the context's deadline and leaves nothing half open on an
	// error. It is called again after one.
	Open(ctx context.Context, s component.Spec) error
	// Pend tells that the component is declared but not open, and why, so that
	// calls to it can say so.
	Pend(name string, reason error)
	// Close ends the component.
	Close(ctx context.Context, name string) error
	// Routes are the block's part of the HTTP API.
	Routes() []httpapi.Route
}

// capable is a block that can tell what a component's driver can do.
type capable interface{ Capabilities(name string) []string }

const (
	// resolveTimeout bounds the reading of a component's secrets.
	resolveTimeout = 5 * time.Second
	firstRetry     = 250 * time.Millisecond
	lastRetry      = 5 * time.Second
)

// components owns the declared components: one goroutine decides which are
// there, each has one that opens it, and the order of opening is remembered for
// closing.
type components struct {
	log    *slog.Logger
	ready  *readiness
	blocks map[string]Block // by kind
	// resolve turns a declaration into what a driver gets.
	resolve func(context.Context, *resource.Component) (component.Spec, error)
	// dependsOn is the secret store that must be open first; empty for none.
	dependsOn func(*resource.Component) string
	// strict ends the sidecar when a component cannot be opened.
	strict bool

	mu     sync.Mutex
	opened []component.Spec // in the order they were opened
}

// supervised is a component with the goroutine that opens it.
type supervised struct {
	declared *resource.Component
	cancel   context.CancelFunc
	tried    chan struct{} // closed after the first attempt
	done     chan struct{} // closed when the goroutine has ended
}

func (s *supervised) stop() {
	s.cancel()
	<-s.done
}

// run opens the declared components and keeps trying those that fail, until the
// context ends. A list on updates replaces what is declared: what is new or
// changed is opened, in place of an old one of the same name, and what is gone
// is closed. It calls firstDone once every component of the first list was
// tried. In strict mode the first failure is returned.
func (m *components) run(ctx context.Context, declared []*resource.Component, updates <-chan []*resource.Component, firstDone func()) error {
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	all := make(map[string]*supervised)
	defer func() {
		cancel()
		for _, s := range all {
			s.stop() // what an attempt opens late must be there to be closed
		}
	}()

	tried := make(chan struct{})
	first := m.apply(ctx, all, declared, failed)
	go func() {
		defer close(tried)
		for _, s := range first {
			select {
			case <-s.tried:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tried:
			m.log.Info("All outstanding components processed")
			firstDone()
			tried = nil
		case list := <-updates:
			m.apply(ctx, all, list, failed)
		}
	}
}

// apply makes all what the list declares, and returns what it started.
func (m *components) apply(ctx context.Context, all map[string]*supervised, list []*resource.Component, failed chan<- error) []*supervised {
	wanted := make(map[string]*resource.Component, len(list))
	for _, c := range list {
		wanted[c.Name()] = c
	}
	for name, s := range all {
		c, ok := wanted[name]
		if ok && sameComponent(s.declared, c) {
			delete(wanted, name)
			continue
		}
		s.stop()
		delete(all, name)
		if !ok || category(c) != category(s.declared) {
			m.remove(ctx, s.declared)
		}
	}
	var started []*supervised
	for _, c := range list {
		if _, ok := wanted[c.Name()]; !ok {
			continue
		}
		s := &supervised{declared: c, tried: make(chan struct{}), done: make(chan struct{})}
		all[c.Name()] = s
		started = append(started, s)
		m.pend(c, errors.New("starting"))
	}
	for _, s := range started { // now that all has every secret store
		superviseCtx, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		go m.supervise(superviseCtx, s, all[m.dependsOn(s.declared)], failed)
	}
	return started
}

// supervise opens one component, after the first attempt at its secret store,
// and tries again until that works or the context ends.
func (m *components) supervise(ctx context.Context, s *supervised, store *supervised, failed chan<- error) {
	defer close(s.done)
	if store != nil && store != s {
		select {
		case <-store.tried:
		case <-ctx.Done():
			return
		}
	}
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := m.open(ctx, s.declared)
		again := m.settle(ctx, s.declared, err, pause, failed)
		select {
		case <-s.tried:
		default:
			close(s.tried)
		}
		if !again {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// settle records the outcome of an attempt and tells whether to try again.
func (m *components) settle(ctx context.Context, c *resource.Component, err error, pause time.Duration, failed chan<- error) (again bool) {
	name := fmt.Sprintf("%s (%s/%s)", c.Name(), c.Spec.Type, versionOf(c))
	switch {
	case err == nil:
		m.ready.set(target(c), "")
		m.log.Info("Component loaded: " + name)
		return false
	case ctx.Err() != nil:
		return false
	case m.strict && !c.Spec.IgnoreErrors:
		select {
		case failed <- fmt.Errorf("component %s cannot be opened: %w; mend it, or set spec.ignoreErrors to go on without it", name, err):
		default:
		}
		return false
	}
	m.log.Warn(fmt.Sprintf("Component %s is not ready: %v; trying again in %s", name, err, pause))
	m.pend(c, err)
	return true
}

// pend tells the block, and whoever asks for the sidecar's health, why the
// component is not open. One that may fail does not hold the sidecar back, nor
// does one whose old form still works.
func (m *components) pend(c *resource.Component, reason error) {
	m.blocks[category(c)].Pend(c.Name(), reason)
	if !c.Spec.IgnoreErrors && !m.isOpen(c.Name()) {
		m.ready.set(target(c), reason.Error())
	}
}

func (m *components) isOpen(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.opened, func(s component.Spec) bool { return s.Name == name })
}

func (m *components) open(ctx context.Context, c *resource.Component) error {
	resolveCtx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	spec, err := m.resolve(resolveCtx, c)
	if err != nil {
		return err
	}
	openCtx, cancel := context.WithTimeout(ctx, spec.InitTimeout)
	defer cancel()
	if err := m.blocks[category(c)].Open(openCtx, spec); err != nil {
		return hideSecrets(err, spec)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = append(m.without(c.Name()), spec)
	return nil
}

// without is what is open but for one; the caller holds the lock.
func (m *components) without(name string) []component.Spec {
	return slices.DeleteFunc(m.opened, func(s component.Spec) bool { return s.Name == name })
}

// remove closes a component that is declared no more.
func (m *components) remove(ctx context.Context, c *resource.Component) {
	m.mu.Lock()
	m.opened = m.without(c.Name())
	m.mu.Unlock()
	m.ready.set(target(c), "")
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if err := m.blocks[category(c)].Close(ctx, c.Name()); err != nil {
		m.log.Warn(fmt.Sprintf("component %s did not close well: %v", c.Name(), err))
		return
	}
	m.log.Info("Component removed: " + c.Name())
}

// sameComponent tells whether two declarations would open the same.
func sameComponent(a, b *resource.Component) bool {
	return reflect.DeepEqual(a.Spec, b.Spec) && a.Auth == b.Auth && a.Namespace() == b.Namespace()
}

// close closes what is open, last opened first.
func (m *components) close(ctx context.Context) error {
	m.mu.Lock()
	specs := slices.Clone(m.opened)
	m.opened = nil
	m.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(specs) {
		if err := m.blocks[s.Category()].Close(ctx, s.Name); err != nil {
			errs = append(errs, fmt.Errorf("close component %s: %w", s.LogName(), err))
		}
	}
	return errors.Join(errs...)
}

// loaded lists the open components by name, each with what its driver can do.
func (m *components) loaded() []loadedComponent {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]loadedComponent, 0, len(m.opened))
	for _, s := range m.opened {
		l := loadedComponent{name: s.Name, typ: s.Type, version: s.Version}
		if b, ok := m.blocks[s.Category()].(capable); ok {
			l.capabilities = b.Capabilities(s.Name)
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b loadedComponent) int { return strings.Compare(a.name, b.name) })
	return list
}

type loadedComponent struct {
	name, typ, version string
	capabilities       []string
}

// hideSecrets keeps a driver from telling, in an error, what came out of a
// secret store.
func hideSecrets(err error, s component.Spec) error {
	text := err.Error()
	hidden := text
	for key := range s.SecretKeys {
		if v := s.Metadata[key]; len(v) > 2 {
			hidden = strings.ReplaceAll(hidden, v, "***")
		}
	}
	if hidden == text {
		return err
	}
	return errors.New(hidden)
}

func target(c *resource.Component) string { return "component " + c.Name() }

func category(c *resource.Component) string {
	return component.Spec{Type: c.Spec.Type}.Category()
}

func versionOf(c *resource.Component) string {
	if c.Spec.Version == "" {
		return "v1"
	}
	return c.Spec.Version
}
