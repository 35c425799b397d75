package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child that is measured or that the measured ones need.
type process struct {
	cmd   *exec.Cmd
	addr  string // where its server listens
	log   bytes.Buffer
	ended chan struct{} // closed when it has; log is complete then
}

// start starts the child. Its output is kept, to be told when it fails.
func start(cmd *exec.Cmd, addr string) (*process, error) {
	p := &process{cmd: cmd, addr: addr, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.log
	}
	cmd.Stderr = &p.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// stop ends the child and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
	<-p.ended
}

// failed stops a child that does not work, and says what it said.
func (p *process) failed(what string, err error) error {
	p.stop()
	return fmt.Errorf("%s: %w\n%s", what, err, &p.log)
}

var errEnded = errors.New("it has ended")

// wait tries until the child is ready, ends, or 10 s are over.
func (p *process) wait(ctx context.Context, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !ready(ctx) {
		select {
		case <-p.ended:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// stopAll ends the children, the last one first.
func stopAll(children []*process) {
	for i := len(children) - 1; i >= 0; i-- {
		children[i].stop()
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// startRole starts this program again as one of the plain servers.
func startRole(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer pr.Close()
	cmd := command(ctx, self, append([]string{"-role", role}, args...)...)
	cmd.Stdout = pw
	p, err := start(cmd, "")
	pw.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(pr).ReadString('\n')
	if err != nil {
		return nil, p.failed("start the "+role+" server", err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// startSidecar starts the program under test in a home folder of its own and
// waits until it is ready; it also returns how long that took.
func startSidecar(ctx context.Context, daprd, home, appID string, args ...string) (*process, time.Duration, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, 0, err
	}
	cmd := command(ctx, daprd, append([]string{
		"--app-id", appID, "--dapr-listen-addresses", "127.0.0.1",
		"--dapr-http-port", ports[0], "--dapr-grpc-port", ports[1], "--metrics-port", ports[2],
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	began := time.Now()
	p, err := start(cmd, net.JoinHostPort("127.0.0.1", ports[0]))
	if err != nil {
		return nil, 0, err
	}
	if err := p.wait(ctx, p.healthy); err != nil {
		return nil, 0, p.failed("wait for the sidecar of "+appID, err)
	}
	return p, time.Since(began), nil
}

// healthy asks the sidecar on a connection of its own: one that was refused
// says nothing about the next.
func (p *process) healthy(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/v1.0/healthz", nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusNoContent
}

// startRedis starts a Redis that keeps nothing.
func startRedis(ctx context.Context, dir string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: run make deps", err)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	cmd := command(ctx, path, "--port", ports[0], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	p, err := start(cmd, net.JoinHostPort("127.0.0.1", ports[0]))
	if err != nil {
		return nil, err
	}
	if err := p.wait(ctx, p.listens); err != nil {
		return nil, p.failed("wait for redis-server", err)
	}
	return p, nil
}

func (p *process) listens(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.addr)
	return err == nil && conn.Close() == nil
}

func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = diesWithParent()
	return cmd
}

// freePorts returns ports that were free a moment ago.
func freePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the loop, so that no port comes twice
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// cpuTime is the processor time a process has used so far.
func cpuTime(pid int) (time.Duration, error) {
	// The scheduler's own account counts nanoseconds, a thread at a time.
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) { // the thread has ended since
			continue
		} else if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(data), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		total += time.Duration(ns)
	}
	if total > 0 {
		return total, nil
	}
	return cpuTicks(pid)
}

// cpuTicks reads what every kernel tells, in hundredths of a second.
func cpuTicks(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time (Linux only): %w", err)
	}
	// The program's name may hold spaces; the fields after it do not.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, io.ErrUnexpectedEOF)
	}
	var ticks int64
	for _, field := range []string{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory is what a process keeps in memory, in bytes.
type memory struct {
	resident, anonymous int64
}

func memoryOf(pid int) (memory, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory in use (Linux only): %w", err)
	}
	var m memory
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		var kib int64
		switch name {
		case "VmRSS", "RssAnon":
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
				return memory{}, fmt.Errorf("/proc/%d/status: %s: %w", pid, name, err)
			}
		}
		switch name {
		case "VmRSS":
			m.resident = kib << 10
		case "RssAnon":
			m.anonymous = kib << 10
		}
	}
	return m, nil
}
