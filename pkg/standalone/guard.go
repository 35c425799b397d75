package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// DefaultGrace is how long the end of a run may take, from the first request to
// terminate to the last process killed.
const DefaultGrace = 5 * time.Second

// Of the grace, the sidecar is left this much after the app: an app that ends
// may still have something to save through it.
const sidecarShare = time.Second

// runMarker is the environment variable that every process of a run carries,
// however far it strays: one that leaves its process group and its parent still
// has it. The value lists the runs a process is part of, the outermost first,
// because an app may itself be "dapr run".
const runMarker = "DAPR_RUN_ID"

// part is one of the two sides of a run.
type part int

const (
	// appPart is the app with whatever it started.
	appPart part = iota
	sidecarPart
)

// trace is everything a run leaves on the machine: what must be gone when it is
// over. The keeper reads it as JSON.
type trace struct {
	// Run is the id in runMarker.
	Run string `json:"run"`
	// App and Sidecar are process groups (on Windows: processes), 0 before they
	// are started.
	App     int `json:"app,omitempty"`
	Sidecar int `json:"sidecar,omitempty"`
	// Sockets are files of the sidecar.
	Sockets []string `json:"sockets,omitempty"`
	// Registry is the folder of the machine's registry of sidecars.
	Registry string        `json:"registry"`
	Grace    time.Duration `json:"grace"`
}

// jobName is that of the job object that holds the runs of the CLI with the given
// process id, on Windows. Tools know it.
func jobName(pid int) string { return fmt.Sprintf("%d-dapr-app-process-job", pid) }

func newTrace(registry string, grace time.Duration, sockets []string) trace {
	if grace <= 0 {
		grace = DefaultGrace
	}
	return trace{Run: uuid.NewString(), Registry: registry, Grace: grace, Sockets: sockets}
}

// mark adds the run to the marker in an environment.
func (t trace) mark(env []string) []string {
	outer, env := takeMarker(env)
	if outer != "" {
		outer += "/"
	}
	return append(env, runMarker+"="+outer+t.Run)
}

// takeMarker returns the environment without the marker, and the marker's value.
func takeMarker(env []string) (value string, rest []string) {
	rest = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		v, ok := strings.CutPrefix(kv, runMarker+"=")
		if ok {
			value = v
		}
		return ok
	})
	return value, rest
}

// end ends the run: the app is asked to terminate, then the sidecar, and what
// remains at the end of the grace is killed. It returns when no process, socket
// or registry entry is left. When ctx ends there is no more grace.
//
// It is the only way a run ends, whether the CLI does it or, when that was
// killed, its keeper.
func (g *guard) end(ctx context.Context) error {
	deadline := time.Now().Add(g.trace.Grace)
	share := min(sidecarShare, g.trace.Grace/4)
	return errors.Join(
		g.terminate(ctx, appPart, deadline.Add(-share)),
		g.terminate(ctx, sidecarPart, deadline.Add(-share/4)),
		g.killAll(),
		g.trace.sweep(),
	)
}

// terminate asks a part to end and waits for it, until the deadline at most.
func (g *guard) terminate(ctx context.Context, which part, deadline time.Time) error {
	asked := make(map[int]bool)
	heard := false
	return poll(ctx, deadline, func() (bool, error) {
		pids, err := g.members(which)
		if err != nil {
			return true, err
		}
		for _, pid := range pids {
			// One that was forked while the others were asked is asked too.
			if !asked[pid] {
				asked[pid] = true
				heard = g.ask(pid) || heard
			}
		}
		// Nobody ends on a request that could not be made.
		return len(pids) == 0 || !heard, nil
	})
}

// killAll kills until nothing is left, for processes may fork meanwhile.
func (g *guard) killAll() error {
	var left []int
	err := poll(context.Background(), time.Now().Add(2*time.Second), func() (bool, error) {
		app, err := g.members(appPart)
		if err != nil {
			return true, err
		}
		sidecar, err := g.members(sidecarPart)
		left = append(app, sidecar...)
		g.kill(left)
		return len(left) == 0, err
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("processes that cannot be killed: %v", left)
	}
	return err
}

// sweep removes what a sidecar that was killed could not remove itself.
func (t trace) sweep() error {
	_, err := instances.List(t.Registry) // removes the entries of the dead
	errs := []error{err}
	for _, path := range t.Sockets {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// poll calls check, ever more slowly, until it is done or fails, the deadline
// passes or ctx ends. The latter two are no errors.
func poll(ctx context.Context, deadline time.Time, check func() (done bool, err error)) error {
	const longest = 50 * time.Millisecond
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, longest) {
		if done, err := check(); done || err != nil {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(pause, left)):
		}
	}
}
