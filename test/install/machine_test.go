//go:build linux && release

package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// machine is a bare one: a folder with busybox and nothing else, in namespaces
// of its own. Its only network is loopback.
type machine struct {
	root string
	// init is its first process, as this machine counts.
	init int
	// uid is whose programs run, with which environment.
	uid int
	env []string
}

// user is the same machine for another user.
func (m *machine) user(uid int, env ...string) *machine {
	return &machine{root: m.root, init: m.init, uid: uid, env: env}
}

// boot makes the machine's devices, and then serves the releases in /srv on a
// loopback that nothing else reaches. It ends never, and takes in the orphans.
const boot = `
mount -t proc proc /proc &&
mount -t tmpfs -o mode=755 dev /dev &&
mknod -m 666 /dev/null c 1 3 &&
mknod -m 666 /dev/urandom c 1 9 &&
ip link set lo up || exit
httpd -f -p 127.0.0.1:80 -h /srv &
until wget -q http://127.0.0.1/latest/download/checksums.txt -O /dev/null 2>/dev/null; do sleep 1; done
echo booted
wait
`

// newMachine boots a machine with the release under test in its web server.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a machine needs namespaces: run this as root")
	}
	m := &machine{root: t.TempDir(), env: []string{"PATH=/bin:/usr/local/bin", "HOME=/root"}}
	for _, dir := range []string{"bin", "dev", "proc", "root", "srv", "tmp", "usr/local/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	require.NoError(t, os.Chmod(filepath.Join(m.root, "tmp"), 0o777|os.ModeSticky))
	installBusybox(t, filepath.Join(m.root, "bin"))
	release(t, filepath.Join(m.root, "srv"))
	build := exec.Command("go", "build", "-o", filepath.Join(m.root, "bin", "testapp"), "../e2e/testapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", boot)
	cmd.Env = m.env
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:       m.root,
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Unshareflags: syscall.CLONE_NEWNS, // in which what is mounted stays
		Pdeathsig:    syscall.SIGKILL,
	}
	cmd.Dir = "/"
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and with it every process of the machine
		_ = cmd.Wait()
	})
	require.NoError(t, write.Close())
	require.NoError(t, read.SetReadDeadline(time.Now().Add(30*time.Second)))
	var said bytes.Buffer
	for !strings.HasSuffix(said.String(), "booted\n") {
		chunk := make([]byte, 100)
		n, err := read.Read(chunk)
		said.Write(chunk[:n])
		require.NoError(t, err, "%s", said.String())
	}
	m.init = cmd.Process.Pid
	return m
}

// command runs a program in the machine.
func (m *machine) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nsenter", append([]string{
		"--target", strconv.Itoa(m.init), "--net", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd=/",
		"--setuid", strconv.Itoa(m.uid), "--setgid", strconv.Itoa(m.uid), "--",
	}, args...)...)
	cmd.Env = m.env
	return cmd
}

// types is a line in the machine's shell; it has to succeed.
func (m *machine) types(t *testing.T, line string) string {
	t.Helper()
	out, err := m.command(t, "/bin/sh", "-c", line).CombinedOutput()
	t.Logf("# %s\n%s", line, out)
	require.NoError(t, err, "%s", line)
	return string(out)
}

// state is what a guest could leave: files, processes and sockets.
type state struct {
	Files     map[string]string
	Processes []string
	Sockets   []string
}

func (m *machine) state(t *testing.T) state {
	t.Helper()
	s := state{Files: make(map[string]string)}
	require.NoError(t, filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		var seen string
		if err == nil {
			seen, err = describe(path, d)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went just now
		}
		s.Files[strings.TrimPrefix(path, m.root)] = seen
		return err
	}))
	out, err := m.command(t, "ps", "-o", "args").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		// The web server forks as it likes, and ps sees itself.
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "httpd ") && line != "ps -o args" {
			s.Processes = append(s.Processes, line)
		}
	}
	for _, kind := range []string{"-lnt", "-lnu", "-lnw", "-anx"} {
		out, err := m.command(t, "netstat", kind).Output()
		require.NoError(t, err)
		s.Sockets = append(s.Sockets, string(out))
	}
	return s
}

// describe tells a file's mode and what is in it.
func describe(path string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	switch mode := info.Mode().String(); {
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(path)
		return mode + " → " + target, err
	case d.Type().IsRegular():
		data, err := os.ReadFile(path)
		return fmt.Sprintf("%s %x", mode, sha256.Sum256(data)), err
	default:
		return mode, nil
	}
}

// is checks that the machine comes into a state: what ends may take a moment.
func (m *machine) is(t *testing.T, want state) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	got := m.state(t)
	for !reflect.DeepEqual(want, got) && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		got = m.state(t)
	}
	require.Equal(t, want, got)
}

// with is the state with one more file in it, the program as it is here.
func (s state) with(t *testing.T, m *machine, program string) state {
	t.Helper()
	seen := m.state(t).Files[program]
	require.True(t, strings.HasPrefix(seen, "-rwxr-xr-x "), "%q", seen)
	s.Files = maps.Clone(s.Files)
	s.Files[program] = seen
	return s
}

// session is an app with its sidecar in the foreground.
type session struct {
	cmd  *exec.Cmd
	done chan error

	mu  sync.Mutex
	out bytes.Buffer
}

func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *session) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// pipe is the line that installs out of the machine's own web server.
const pipe = "wget -q http://127.0.0.1/latest/download/install.sh -O - | DAPR_INSTALL_BASE_URL=http://127.0.0.1 sh"

// patience is how long the machine may take for what takes a second.
const patience = time.Minute

// starts runs an app with its sidecar and waits until both are up.
func (m *machine) starts(t *testing.T, args ...string) *session {
	t.Helper()
	s := &session{cmd: m.command(t, args...), done: make(chan error, 1)}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	require.NoError(t, s.cmd.Start())
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v printed:\n%s", args, s)
		}
	})
	s.prints(t, "You're up and running!")
	return s
}

// prints waits until the session has printed a text.
func (s *session) prints(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.String(), text) }, patience, 50*time.Millisecond, "%v: %s", s.cmd.Args, text)
}

// ends waits until the session has ended, well.
func (s *session) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.done:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatalf("%v does not end", s.cmd.Args)
	}
	assert.Contains(t, s.String(), "Exited App successfully")
	assert.Contains(t, s.String(), "Exited Dapr successfully")
}

// From a link to a running system, and back: in a folder with only busybox.
func TestFreshMachine(t *testing.T) {
	m := newMachine(t)
	before := m.state(t)
	assert.Len(t, regexp.MustCompile(`(?m)^ *\w+:`).FindAllString(m.types(t, "cat /proc/net/dev"), -1), 1, "loopback only")

	out := m.types(t, pipe)
	require.Regexp(t, `^Your system is (linux_\w+)
Downloading http://127\.0\.0\.1/latest/download/dapr_(linux_\w+)\.tar\.gz
dapr was installed into /usr/local/bin
cli version: (\S+)
runtime version: n/a
To get started: .*
$`, out)
	installed := before.with(t, m, "/usr/local/bin/dapr")
	m.is(t, installed)

	// In a folder without the names of users, and of hosts.
	m.types(t, "dapr init")
	assert.Regexp(t, `^CLI version: (\S+) \nRuntime version: \S+\n$`, m.types(t, "dapr version"))

	shop := m.starts(t, "dapr", "run", "--app-id", "shop", "--app-port", "4000", "--", "testapp", "save", "order", "42", "load", "order", "serve")
	shop.prints(t, `== APP == 200 "42"`)
	assert.Regexp(t, `(?m)^shop +\d+ +\d+ +4000 `, m.types(t, "dapr list"))
	assert.Contains(t, m.types(t, "dapr invoke -a shop -m echo -d hello"), "POST hello\n")

	// An app asks its own sidecar for the other, by name.
	till := m.starts(t, "dapr", "run", "--app-id", "till", "--dapr-http-port", "3500", "--", "testapp",
		"post", "http://127.0.0.1:3500/v1.0/invoke/shop/method/echo", "wait")
	till.prints(t, "== APP == 200 POST")

	// The program is replaced while it runs.
	assert.NotContains(t, m.types(t, pipe), "runtime version: n/a")

	m.types(t, "dapr stop shop")
	shop.ends(t)

	// The other by Ctrl-C.
	var running []struct{ CLIPID int }
	require.NoError(t, json.Unmarshal([]byte(m.types(t, "dapr list -o json")), &running))
	require.Len(t, running, 1)
	m.types(t, "kill -INT "+strconv.Itoa(running[0].CLIPID))
	till.ends(t)
	assert.Equal(t, "No Dapr instances found.\n", m.types(t, "dapr list"))

	m.types(t, "dapr uninstall --all")
	m.is(t, installed)
	assert.Contains(t, m.types(t, "dapr version"), "Runtime version: n/a")
}

// A user whom no file names, and who has no rights, installs into a folder of
// its own.
func TestFreshMachineForAUser(t *testing.T) {
	m := newMachine(t)
	m.types(t, "mkdir -p /home/ann && chown 1000:1000 /home/ann")
	ann := m.user(1000, "HOME=/home/ann", "PATH=/home/ann/bin:/bin", "DAPR_INSTALL_DIR=/home/ann/bin", "DAPR_INSTALL_BASE_URL=http://127.0.0.1")
	ann.types(t, pipe)
	before := m.state(t)

	ann.types(t, "dapr init")
	shop := ann.starts(t, "dapr", "run", "--app-id", "shop", "--app-port", "4000", "--", "testapp", "serve")
	assert.Contains(t, ann.types(t, "dapr invoke -a shop -m echo -d hello"), "POST hello\n")
	ann.types(t, "dapr stop shop")
	shop.ends(t)
	ann.types(t, "dapr uninstall --all")
	m.is(t, before)
}

// Without HOME the program says what it lacks, and takes a folder by its flag.
func TestFreshMachineWithoutHome(t *testing.T) {
	m := newMachine(t)
	m.types(t, pipe)
	before := m.state(t)
	nobody := m.user(0, "PATH=/bin:/usr/local/bin")
	assert.Contains(t, nobody.types(t, "dapr version"), "Runtime version: n/a\n")
	out, err := nobody.command(t, "dapr", "init").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "HOME is not set; set it, or give --runtime-path\n")

	nobody.types(t, "dapr init --runtime-path /tmp")
	shop := nobody.starts(t, "dapr", "run", "--runtime-path", "/tmp", "--app-id", "shop", "--app-port", "4000", "--", "testapp", "serve")
	assert.Contains(t, nobody.types(t, "dapr invoke --runtime-path /tmp -a shop -m echo -d hello"), "POST hello\n")
	nobody.types(t, "dapr stop --runtime-path /tmp shop")
	shop.ends(t)
	nobody.types(t, "dapr uninstall --all --runtime-path /tmp")
	m.is(t, before)
}
