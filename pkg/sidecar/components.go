package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// components owns the declared components: one goroutine decides what is opened
// when, and remembers the order for closing.
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

// attempt is the outcome of one try to open a component.
type attempt struct {
	c     *resource.Component
	tries int
	err   error
}

// run opens the components and keeps trying those that fail, until the context
// ends. It calls firstDone once every component was tried. In strict mode the
// first failure is returned.
func (m *components) run(ctx context.Context, declared []*resource.Component, firstDone func()) error {
	results := make(chan attempt)
	var attempts sync.WaitGroup
	defer attempts.Wait() // what an attempt opens late must be there to be closed
	start := func(a attempt, pause time.Duration) {
		attempts.Go(func() {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			a.err = m.open(ctx, a.c)
			select {
			case results <- a:
			case <-ctx.Done():
			}
		})
	}

	// Secret stores go first; whoever needs one waits for its first attempt.
	waiting := make(map[string][]*resource.Component)
	stores := make(map[string]bool)
	for _, c := range declared {
		stores[c.Name()] = strings.HasPrefix(c.Spec.Type, "secretstores.")
	}
	for _, c := range declared {
		m.pend(c, errors.New("starting"))
		if store := m.dependsOn(c); stores[store] {
			waiting[store] = append(waiting[store], c)
			continue
		}
		start(attempt{c: c}, 0)
	}

	untried := len(declared)
	if untried == 0 {
		firstDone()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-results:
			if err := m.settle(ctx, a, start); err != nil {
				return err
			}
			if a.tries > 0 {
				continue
			}
			for _, c := range waiting[a.c.Name()] {
				start(attempt{c: c}, 0)
			}
			if untried--; untried == 0 {
				m.log.Info("All outstanding components processed")
				firstDone()
			}
		}
	}
}

// settle records the outcome of an attempt and plans the next one after a
// failure.
func (m *components) settle(ctx context.Context, a attempt, retry func(attempt, time.Duration)) error {
	name := fmt.Sprintf("%s (%s/%s)", a.c.Name(), a.c.Spec.Type, versionOf(a.c))
	if a.err == nil {
		m.ready.set(target(a.c), "")
		m.log.Info("Component loaded: " + name)
		return nil
	}
	if ctx.Err() != nil {
		return nil
	}
	if m.strict && !a.c.Spec.IgnoreErrors {
		return fmt.Errorf("component %s cannot be opened: %w; mend it, or set spec.ignoreErrors to go on without it", name, a.err)
	}
	pause := min(firstRetry<<min(a.tries, 10), lastRetry)
	m.log.Warn(fmt.Sprintf("Component %s is not ready: %v; trying again in %s", name, a.err, pause))
	m.pend(a.c, a.err)
	retry(attempt{c: a.c, tries: a.tries + 1}, pause)
	return nil
}

// pend tells the block, and whoever asks for the sidecar's health, why the
// component is not open. One that may fail does not hold the sidecar back.
func (m *components) pend(c *resource.Component, reason error) {
	m.blocks[category(c)].Pend(c.Name(), reason)
	if !c.Spec.IgnoreErrors {
		m.ready.set(target(c), reason.Error())
	}
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
	m.opened = append(m.opened, spec)
	return nil
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
