package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// Streams are what a run reads, writes and listens to.
type Streams struct {
	// In is the app's standard input; nil is an empty one.
	In *os.File
	// InTerminal tells that In is a terminal.
	InTerminal bool
	Out, Err   io.Writer
	// Color tells that Out and Err take colours.
	Color bool
	// Signals are requests to end: the first ends the run, the second ends it at
	// once.
	Signals <-chan os.Signal
	Report  Reporter
}

// Reporter prints the lines that tell how a run gets on.
type Reporter interface {
	Info(format string, args ...any)
	Success(format string, args ...any)
	Warning(format string, args ...any)
	Failure(format string, args ...any)
}

const (
	// listenLimit is how long a sidecar may take until it answers.
	listenLimit = time.Minute
	// patience is how long the app waits for components that are not there yet.
	patience = 5 * time.Second
	// drainLimit is how long a program's last output is waited for after its end.
	drainLimit = time.Second
)

// Run runs an app with its sidecar until one of them ends or a signal asks for
// it, and leaves nothing behind: no process, no socket, no registry entry.
//
// The code is the app's exit code, 128 plus the signal if one ended the app. It
// is 0 when the app ended as it was asked to, by the signal that asked it. An
// error tells why the run did not come about or was cut short.
func Run(ctx context.Context, o RunOptions, s Streams) (code int, err error) {
	if o.AppID == "" {
		if o.AppID, err = freeAppID(o.Layout); err != nil {
			return 1, err
		}
	}
	if err := o.complete(); err != nil {
		return 1, err
	}
	r, err := newRun(o, s)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, r.close()) }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopEvents, err := stopRequests(ctx)
	if err != nil {
		return 1, err
	}
	asked, forced := watch(ctx, s.Signals, stopEvents)
	err = r.start(asked)
	if err == nil {
		r.wait(asked)
	}
	var request *stopRequest
	if errors.As(context.Cause(asked), &request) {
		r.say(s.Report.Info, "terminated signal received: shutting down")
	}
	outcome := r.outcome(request, err)
	endErr := r.guard.end(forced)
	r.drain()
	code, err = outcome()
	return code, errors.Join(err, endErr)
}

func freeAppID(l Layout) (string, error) {
	running, err := instances.List(l.Instances())
	if err != nil {
		return "", err
	}
	taken := make(map[string]bool)
	for _, i := range running {
		taken[i.AppID] = true
	}
	return randomAppID(func(id string) bool { return taken[id] }), nil
}

// stopRequest is the cause of a run's end that was asked for.
type stopRequest struct{ signal os.Signal }

func (s *stopRequest) Error() string { return "asked to stop" }

// code is the exit code of a CLI that was interrupted before there was an app.
func (s *stopRequest) code() int {
	number := syscall.SIGINT
	if n, ok := s.signal.(syscall.Signal); ok {
		number = n
	}
	return 128 + int(number)
}

// watch turns requests to end into contexts: the first request ends asked, with
// a *stopRequest as its cause, the second ends forced.
func watch(ctx context.Context, signals <-chan os.Signal, events <-chan struct{}) (asked, forced context.Context) {
	asked, ask := context.WithCancelCause(ctx)
	// The end of ctx must not take away the grace.
	forced, force := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer force()
		for range 2 {
			request := &stopRequest{signal: os.Interrupt}
			select {
			case request.signal = <-signals:
			case <-events:
			case <-ctx.Done():
				return
			}
			ask(request)
		}
	}()
	return asked, forced
}

// run is one app with its sidecar.
type run struct {
	RunOptions
	Streams
	ports   ports
	api     *api
	guard   *guard
	journal *journal
	console *console
	sources []*source
	// lastWords is the sidecar's last line.
	lastWords atomic.Pointer[string]

	sidecar, app *process
}

func newRun(o RunOptions, s Streams) (*run, error) {
	r := &run{RunOptions: o, Streams: s}
	var err error
	if r.ports, err = o.reservePorts(); err != nil {
		return nil, err
	}
	if r.journal, err = openJournal(o.Layout.Logs(), o.AppID, time.Now()); err != nil {
		return nil, errors.Join(err, r.ports.close())
	}
	r.console = &console{journal: r.journal.both, color: s.Color}
	network, address := o.apiAddress(r.ports)
	r.api = newAPI(network, address, lookup(o.Env, "DAPR_API_TOKEN"))
	if r.guard, err = newGuard(newTrace(o.Layout.Instances(), o.Grace, sockets(o.UnixDomainSocket, o.AppID)), o.Keeper, o.Env); err != nil {
		return nil, errors.Join(err, r.journal.close(), r.ports.close())
	}
	return r, nil
}

func (r *run) close() error { return errors.Join(r.guard.close(), r.journal.close()) }

// say prints a status line between the programs' lines.
func (r *run) say(line func(string, ...any), format string, args ...any) {
	r.console.between(func() { line(format, args...) })
}

// start brings up the sidecar and then the app.
func (r *run) start(ctx context.Context) error {
	r.say(r.Report.Info, "Starting Dapr with id %s. HTTP Port: %d. gRPC Port: %d", r.AppID, r.ports.http, r.ports.grpc)
	if err := r.startSidecar(); err != nil {
		return err
	}
	if err := r.awaitSidecar(ctx); err != nil {
		return err
	}
	r.register(ctx, "cliPID", strconv.Itoa(os.Getpid()))
	r.register(ctx, "daprdLogPath", r.journal.sidecar.Name())
	if len(r.Command) == 0 {
		r.say(r.Report.Warning, "WARNING: no application command found.")
		r.say(r.Report.Success, "You're up and running! Dapr logs will appear here.")
		return nil
	}
	if err := r.startApp(); err != nil {
		return err
	}
	r.register(ctx, "appPID", strconv.Itoa(r.app.cmd.Process.Pid))
	r.register(ctx, "appCommand", strings.Join(r.Command, " "))
	r.register(ctx, "appLogPath", r.journal.app.Name())
	r.say(r.Report.Success, "You're up and running! Both Dapr and your app logs will appear here.")
	return nil
}

func (r *run) startSidecar() error {
	cmd := exec.Command(r.Daprd, r.sidecarArgs(r.ports)...)
	cmd.Env = r.sidecarEnv()
	release, err := r.ports.give(cmd)
	if err != nil {
		return err
	}
	out := r.source("== DAPR == ", daprStyle, r.Out, r.journal.sidecar)
	out.last = func(line string) { r.lastWords.Store(&line) }
	r.sidecar, err = launch(r.guard, sidecarPart, cmd, out, nil)
	release()
	if err != nil {
		return fmt.Errorf("start the sidecar: %w", err)
	}
	return nil
}

func (r *run) startApp() error {
	cmd := exec.Command(r.Command[0], r.Command[1:]...)
	cmd.Env = r.appEnv(r.ports)
	input, err := r.input(cmd)
	if err != nil {
		return err
	}
	r.app, err = launch(r.guard, appPart, cmd,
		r.source("== APP == ", appStyle, r.Out, r.journal.app),
		r.source("== APP == ", appStyle, r.Err, r.journal.app))
	input()
	if err != nil {
		return fmt.Errorf("start the app: %w", err)
	}
	return nil
}

// input connects the app's standard input. Call the returned function when the
// app has started.
//
// A terminal is not handed over: the app is in a process group of its own, and
// the system stops a group in the background that reads from a terminal.
func (r *run) input(cmd *exec.Cmd) (started func(), err error) {
	if r.In == nil || !r.InTerminal {
		if r.In != nil {
			cmd.Stdin = r.In
		}
		return func() {}, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	cmd.Stdin = pr
	return func() {
		_ = pr.Close() // the app has its own
		go func() {
			forwardTerminal(pw, r.In)
			_ = pw.Close()
		}()
	}, nil
}

// The programs' prefixes in colour: SGR parameters.
const (
	daprStyle = "94;1"
	appStyle  = "92;1"
)

func (r *run) source(prefix, style string, screen, file io.Writer) *source {
	s := &source{console: r.console, prefix: prefix, style: style, screen: screen, copy: file}
	r.sources = append(r.sources, s)
	return s
}

// awaitSidecar waits until the app can call out through the sidecar. Components
// whose servers are down do not hold up the app forever: it may not need them.
func (r *run) awaitSidecar(ctx context.Context) error {
	begun := time.Now()
	for {
		ready, reason, err := r.api.outbound(ctx)
		waited := time.Since(begun)
		switch {
		case r.sidecar.ended():
			return r.sidecarEnded("before it was ready")
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ready:
			r.say(r.Report.Info, "Dapr sidecar is up and running.")
			return nil
		case err == nil && waited > patience:
			r.say(r.Report.Warning, "Dapr sidecar is up, but not ready: %s", reason)
			return nil
		case waited > listenLimit:
			return fmt.Errorf("the sidecar does not answer after %s: %w", listenLimit, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.sidecar.done:
		case <-ctx.Done():
		}
	}
}

func (r *run) sidecarEnded(when string) error {
	r.sidecar.drain(drainLimit)
	said := ""
	if words := r.lastWords.Load(); words != nil {
		said = ": " + *words
	}
	return fmt.Errorf("the sidecar ended %s (%s)%s", when, r.sidecar.state, said)
}

// register tells the sidecar, and through it everybody who lists the sidecars
// of this machine, about the run.
func (r *run) register(ctx context.Context, key, value string) {
	if err := r.api.setMetadata(ctx, key, value); err != nil && ctx.Err() == nil && !r.sidecar.ended() {
		r.say(r.Report.Warning, "The run is not fully listed: %s", err)
	}
}

// wait waits for the first end.
func (r *run) wait(asked context.Context) {
	var appDone chan struct{} // never closed without an app
	if r.app != nil {
		appDone = r.app.done
	}
	select {
	case <-appDone:
	case <-r.sidecar.done:
	case <-asked.Done():
	}
}

// outcome looks at who ended first and returns what to answer when all have
// ended.
func (r *run) outcome(request *stopRequest, startErr error) func() (int, error) {
	appFirst := r.app != nil && r.app.ended()
	sidecarFirst := !appFirst && r.sidecar != nil && r.sidecar.ended()
	return func() (int, error) {
		switch {
		case request != nil && startErr != nil && r.app == nil:
			return request.code(), nil
		case startErr != nil:
			return 1, startErr
		case !r.sidecar.ended(), r.app != nil && !r.app.ended():
			return 1, nil // they cannot be killed, as the error of the end tells
		case sidecarFirst && r.sidecar.state.ExitCode() != 0 && request == nil:
			return 1, r.sidecarEnded("unexpectedly")
		}
		if r.sidecar.state.Success() {
			r.say(r.Report.Success, "Exited Dapr successfully")
		} else {
			r.say(r.Report.Warning, "Dapr did not end in time and was killed")
		}
		if r.app == nil {
			return 0, nil
		}
		code := exitCode(r.app.state)
		if !appFirst && code == askedCode {
			code = 0
		}
		if code == 0 {
			r.say(r.Report.Success, "Exited App successfully")
		} else {
			r.say(r.Report.Failure, "The app exited with code %d", code)
		}
		return code, nil
	}
}

// drain waits for the last output of both programs.
func (r *run) drain() {
	for _, p := range []*process{r.app, r.sidecar} {
		if p != nil {
			p.drain(drainLimit)
		}
	}
	for _, s := range r.sources {
		s.close()
	}
}
