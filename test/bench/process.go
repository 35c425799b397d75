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
	cmd  *exec.Cmd
	addr string // where its HTTP server listens
	log  *bytes.Buffer
}

// stop ends the child and waits for it.
func (p *process) stop() {
	// Both fail only for a child that has ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
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
	cmd := command(ctx, self, append([]string{"-role", role}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the %s server did not start: %w", role, err)
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
	p := &process{cmd: cmd, addr: net.JoinHostPort("127.0.0.1", ports[0]), log: &bytes.Buffer{}}
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	if err := waitReady(ctx, p.addr); err != nil {
		p.stop()
		return nil, 0, fmt.Errorf("the sidecar of %s is not ready: %w\n%s", appID, err, p.log)
	}
	return p, time.Since(start), nil
}

// waitReady asks for the sidecar's health until it is well.
func waitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1.0/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
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
	p := &process{cmd: cmd, addr: net.JoinHostPort("127.0.0.1", ports[0]), log: &bytes.Buffer{}}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			return p, conn.Close()
		}
		if time.Now().After(end) {
			p.stop()
			return nil, fmt.Errorf("redis-server does not listen: %w\n%s", err, p.log)
		}
	}
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
