// Package daprd tests the sidecar as its users meet it: real processes with
// flags, files, signals and ports, each in a home folder of its own.
package daprd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hyperdapr/dapr/pkg/instances"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// programDir is where program was built; empty before.
var programDir string

// program is the daprd that all tests start, built once.
var program = sync.OnceValues(func() (string, error) {
	// The go command knows a test's results by the files that it reads: a change
	// of daprd must not leave it with old ones.
	for _, sources := range []string{"../../cmd/daprd", "../../pkg", "../../go.mod"} {
		if err := filepath.WalkDir(sources, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			return "", err
		}
	}
	var err error
	if programDir, err = os.MkdirTemp("", "daprd-*"); err != nil {
		return "", err
	}
	path := filepath.Join(programDir, "daprd.exe")
	build := exec.Command("go", "build", "-o", path, "../../cmd/daprd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build daprd: %w\n%s", err, out)
	}
	return path, nil
})

// given is what a sidecar starts with. The zero value is a sidecar without
// resources on a machine of its own.
type given struct {
	// home is the machine's; sidecars that are to meet share it.
	home string
	// resources and config are YAML documents.
	resources, config string
	// args and env come after what every sidecar of these tests gets.
	args, env []string
}

// deadline bounds every wait. It is generous: a busy machine is no failure.
const deadline = 20 * time.Second

// eventually polls until the condition holds; else says what is wrong.
func eventually(t *testing.T, wrong string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}

// process is a daprd that runs or has run.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    output
	exited chan struct{}
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// spawn starts daprd in an environment that holds nothing of the caller's.
func spawn(t *testing.T, home string, args, env []string) *process {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	p := &process{t: t, exited: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = home
	p.cmd.Env = append([]string{"HOME=" + home, "USERPROFILE=" + home}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	endWithParent(p.cmd)
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // how it ended is in its state
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(args, " "), p.log.String())
		}
	})
	return p
}

// wait returns the exit code; -1 is a process that a signal ended.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(deadline):
		p.t.Fatal("daprd does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// waitLog waits for a text in the log.
func (p *process) waitLog(text string) {
	p.t.Helper()
	eventually(p.t, "no "+text+" in the log", func() bool { return strings.Contains(p.log.String(), text) })
}

// lines are the log's lines that contain the text.
func (p *process) lines(text string) []string {
	var found []string
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// finished runs daprd to its end.
func finished(t *testing.T, home string, args, env []string) (code int, text string) {
	t.Helper()
	if home == "" {
		home = t.TempDir()
	}
	p := spawn(t, home, args, env)
	return p.wait(), p.log.String()
}

// sidecar is a daprd that serves.
type sidecar struct {
	*process
	id, home string
	// resources is the folder, config the file.
	resources, config string
	instances.Instance
	base   string
	client *http.Client
	conn   *grpc.ClientConn
	runtimev1.DaprClient
}

// start returns a sidecar whose app can call out.
func start(t *testing.T, id string, g given) *sidecar {
	t.Helper()
	s := begin(t, id, g)
	s.waitFor("/v1.0/healthz/outbound")
	return s
}

// begin returns a sidecar that has bound its ports. When the test ends it is
// stopped, and must leave nothing behind.
func begin(t *testing.T, id string, g given) *sidecar {
	t.Helper()
	return launch(t, id, g).meet()
}

// launch returns a sidecar that was only just started.
func launch(t *testing.T, id string, g given) *sidecar {
	t.Helper()
	if g.home == "" {
		g.home = t.TempDir()
	}
	s := &sidecar{id: id, home: g.home}
	args := []string{
		"--app-id", id, "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0",
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1", "--metrics-listen-address", "127.0.0.1",
	}
	if g.resources != "" {
		s.resources = t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(s.resources, "resources.yaml"), []byte(g.resources), 0o600))
		args = append(args, "--resources-path", s.resources)
	}
	if g.config != "" {
		s.config = filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(s.config, []byte(g.config), 0o600))
		args = append(args, "--config", s.config)
	}
	s.process = spawn(t, g.home, append(args, g.args...), g.env)
	return s
}

// meet waits until the sidecar has bound its ports.
func (s *sidecar) meet() *sidecar {
	s.t.Helper()
	eventually(s.t, "daprd does not register", func() bool {
		if !s.running() {
			s.t.Fatal("daprd ended")
		}
		i, found := registered(s.t, s.home, s.cmd.Process.Pid)
		s.Instance = i
		return found
	})
	s.connect()
	s.t.Cleanup(func() {
		if s.running() {
			s.stop()
		}
	})
	return s
}

// registered finds the process in the machine's registry.
func registered(t *testing.T, home string, pid int) (instances.Instance, bool) {
	t.Helper()
	list, err := instances.List(registry(home))
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(i instances.Instance) bool { return i.PID == pid })
	if i < 0 {
		return instances.Instance{}, false
	}
	return list[i], true
}

func registry(home string) string { return instances.Folder(filepath.Join(home, ".dapr")) }

// connect makes the clients of both faces, on ports or on sockets.
func (s *sidecar) connect() {
	s.t.Helper()
	transport := &http.Transport{}
	s.base = fmt.Sprintf("http://127.0.0.1:%d", s.HTTPPort)
	target := fmt.Sprintf("127.0.0.1:%d", s.GRPCPort)
	if s.SocketDir != "" {
		s.base = "http://sidecar"
		path := filepath.Join(s.SocketDir, "dapr-"+s.id+"-http.socket")
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		target = "unix://" + filepath.Join(s.SocketDir, "dapr-"+s.id+"-grpc.socket")
	}
	s.client = &http.Client{Transport: transport}
	var err error
	s.conn, err = grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(s.t, err)
	s.DaprClient = runtimev1.NewDaprClient(s.conn)
	s.t.Cleanup(func() {
		s.client.CloseIdleConnections()
		_ = s.conn.Close()
	})
}

// answer is an HTTP response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes an HTTP request of the API. Headers are "Name: value".
func (s *sidecar) call(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, headers...)
	require.NoError(s.t, err)
	return a
}

func (s *sidecar) try(method, path, body string, headers ...string) (answer, error) {
	return request(s.client, method, s.base+path, body, headers...)
}

func request(client *http.Client, method, url, body string, headers ...string) (answer, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, reader)
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(data)}, err
}

// waitFor waits until a path answers that all is well.
func (s *sidecar) waitFor(path string) {
	s.t.Helper()
	eventually(s.t, path+" does not become ready", func() bool {
		if !s.running() {
			s.t.Fatal("daprd ended")
		}
		a, err := s.try(http.MethodGet, path, "")
		return err == nil && a.status == http.StatusNoContent
	})
}

// stop ends the sidecar gracefully.
func (s *sidecar) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	require.Zero(s.t, s.wait(), "exit code")
	s.leftNothing()
}

// leftNothing checks that an ended sidecar has no entry in the registry, no
// socket and no open port.
func (s *sidecar) leftNothing() {
	s.t.Helper()
	require.False(s.t, s.running())
	entries, err := os.ReadDir(registry(s.home))
	require.True(s.t, err == nil || errors.Is(err, os.ErrNotExist), err)
	mark := fmt.Sprintf("@%d.", s.cmd.Process.Pid)
	for _, e := range entries {
		require.NotContains(s.t, e.Name(), mark, "left in the registry")
	}
	if s.SocketDir != "" {
		left, err := os.ReadDir(s.SocketDir)
		require.NoError(s.t, err)
		require.Empty(s.t, left)
	}
	for _, port := range []int{s.HTTPPort, s.GRPCPort, s.MetricsPort} {
		if port != 0 {
			require.False(s.t, open(port), "port %d is still open", port)
		}
	}
}

// open tells whether somebody listens on the port.
func open(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// freePort is a port that nobody listens on, for a flag that takes no 0.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return portOf(l.Addr().String())
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// store is a component that keeps state in memory.
func store(name string, metadata ...string) string {
	return component(name, "state.in-memory", metadata...)
}

// component is the YAML of a component; its metadata are "name=value".
func component(name, typ string, metadata ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nspec:\n  type: %s\n  version: v1\n", name, typ)
	if len(metadata) > 0 {
		b.WriteString("  metadata:\n")
	}
	for _, m := range metadata {
		k, v, _ := strings.Cut(m, "=")
		fmt.Fprintf(&b, "  - name: %s\n    value: %q\n", k, v)
	}
	return b.String()
}

// configuration is the YAML of a Configuration with the spec, which is indented
// as below spec.
func configuration(spec string) string {
	return "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: test\nspec:\n" + spec
}
