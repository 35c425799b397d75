//go:build !windows

package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// guard starts the processes of one run and sees to their end, also when the
// CLI is killed: from then on a keeper does it, a process outside of the
// terminal's session that has been told everything through a pipe, and learns
// from the pipe's end that the CLI is gone.
type guard struct {
	trace  trace
	keeper *exec.Cmd
	pipe   *os.File
}

// newGuard starts the keeper, which is the given command: a program that calls
// Keep with its standard input. Nobody waits for it to be up: what it is told
// meanwhile waits in the pipe.
func newGuard(t trace, keeper, env []string) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer r.Close()
	// The keeper must outlive this run and every run around it, so it carries
	// the marker of none.
	_, env = takeMarker(env)
	cmd := exec.Command(keeper[0], keeper[1:]...)
	cmd.Env = env
	cmd.Stdin = r
	cmd.Dir = "/" // holds no folder busy
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the keeper: %w", err), w.Close())
	}
	g := &guard{trace: t, keeper: cmd, pipe: w}
	if err := g.tell(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// tell tells the keeper the present trace. A line is shorter than what a pipe
// takes in one piece, so the keeper never sees half of one.
func (g *guard) tell() error {
	if err := json.NewEncoder(g.pipe).Encode(g.trace); err != nil {
		return fmt.Errorf("tell the keeper: %w", err)
	}
	return nil
}

// start starts cmd as the leader of a process group. Until the keeper has heard
// of the group it would find the process by its marker.
func (g *guard) start(which part, cmd *exec.Cmd) error {
	cmd.Env = g.trace.mark(cmd.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if which == appPart {
		g.trace.App = cmd.Process.Pid
	} else {
		g.trace.Sidecar = cmd.Process.Pid
	}
	// A keeper that was killed does not stop the run.
	_ = g.tell()
	return nil
}

// members lists the living processes of a part.
func (g *guard) members(which part) ([]int, error) {
	app, sidecar, err := g.trace.find()
	if which == appPart {
		return app, err
	}
	return sidecar, err
}

// ask sends SIGTERM. One who does not hear it has just ended.
func (g *guard) ask(pid int) (heard bool) {
	_ = syscall.Kill(pid, syscall.SIGTERM)
	// A stopped process hears nothing before it continues.
	_ = syscall.Kill(pid, syscall.SIGCONT)
	return true
}

func (g *guard) kill(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// close dismisses the keeper. It is killed rather than told, because it may
// still be starting.
func (g *guard) close() error {
	err := g.keeper.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	_ = g.keeper.Wait() // killed, as it should be
	return errors.Join(err, g.pipe.Close())
}

// Keep is the keeper's work: it reads what a run has started until the CLI at
// the other end of r is gone, and then ends the run.
func Keep(ctx context.Context, r io.Reader) error {
	standApart()
	var last trace
	for dec := json.NewDecoder(r); ; {
		var t trace
		if dec.Decode(&t) != nil {
			break
		}
		last = t
	}
	if last.Run == "" {
		return nil
	}
	g := &guard{trace: last}
	return g.end(ctx)
}

// endAbandoned ends a run whose CLI and keeper were killed. What is part of it is
// known by the marker in its environment, never by a number that somebody wrote
// down; ended is false when the sidecar has none, so that nobody knows the rest.
func endAbandoned(ctx context.Context, l Layout, i instances.Instance) (ended bool, err error) {
	env, err := environment(i.PID)
	if err != nil {
		return false, fmt.Errorf("read the environment of process %d: %w", i.PID, err)
	}
	value, _ := takeMarker(env)
	id := value[strings.LastIndexByte(value, '/')+1:] // the innermost run
	if uuid.Validate(id) != nil {
		return false, nil //nolint:nilerr // a sidecar of no run
	}
	t := newTrace(l.Instances(), DefaultGrace, sockets(i.SocketDir, i.AppID))
	t.Run, t.Sidecar = id, i.PID
	g := &guard{trace: t}
	return true, g.end(ctx)
}

// belongs tells which part of the run a process is in, judged by its process
// group and what is in its environment.
func (t trace) belongs(group int, marked func() bool) (which part, ok bool) {
	switch {
	case group == t.Sidecar && group != 0:
		return sidecarPart, true
	case group == t.App && group != 0, marked():
		return appPart, true
	}
	return 0, false
}
