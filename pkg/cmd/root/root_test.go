package root

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed/embedtest"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/test/golden"
)

// person is somebody who types commands in a home of their own.
type person struct {
	t       *testing.T
	home    string
	env     []string
	in      string
	payload fs.FS
	cluster *kubernetes.Client // the real one of the environment when nil
}

func newPerson(t *testing.T) *person {
	t.Helper()
	home := t.TempDir()
	return &person{
		t:       t,
		home:    home,
		env:     []string{"HOME=" + home, "USERPROFILE=" + home, "PATH=" + os.Getenv("PATH")},
		payload: payload(t, "1.0.0"),
	}
}

// types runs a command line and returns all of it as a person would see it: the
// line, the output, the error output, and the exit code when it is not 0.
func (p *person) types(args ...string) string {
	p.t.Helper()
	out, errOut, code := p.run(args...)
	seen := "$ dapr " + strings.Join(args, " ") + "\n" + out + errOut
	if code != 0 {
		seen += "[exit code " + strconv.Itoa(code) + "]\n"
	}
	return strings.ReplaceAll(strings.ReplaceAll(seen, p.home, "HOME"), `\`, "/")
}

func (p *person) run(args ...string) (out, errOut string, code int) {
	p.t.Helper()
	streams, in, outBuf, errBuf := iostreams.Test()
	_, err := in.Write([]byte(p.in))
	require.NoError(p.t, err)
	f := cmdutil.NewFactory(p.env, streams)
	f.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	f.Status = cmdutil.NewPrinter(streams, f.Now, func() bool { return f.LogAsJSON })
	f.Source = func() (standalone.Source, error) {
		return standalone.Source{Payload: p.payload, Beside: p.home, Version: "1.0.0"}, nil
	}
	if p.cluster != nil {
		f.Cluster = func() (*kubernetes.Client, error) { return p.cluster, nil }
	}
	code = execute(p.t.Context(), f, NewCmdRoot(f), args)
	return outBuf.String(), errBuf.String(), code
}

func (p *person) layout() standalone.Layout {
	return standalone.Layout{Root: filepath.Join(p.home, standalone.FolderName)}
}

// payload holds a program that tells its version.
func payload(t *testing.T, version string) fs.FS {
	t.Helper()
	script := "#!/bin/sh\ncase $1 in\n--version) echo " + version + " ;;\n--build-info) echo Version: " + version + "; echo Git Commit: abc ;;\nesac\n"
	return embedtest.Payload(t, version, map[string]string{"daprd": script})
}

func unixOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts, and the golden files have slashes")
	}
}

func TestHelp(t *testing.T) {
	p := newPerson(t)
	var all func(cmd *cobra.Command)
	all = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			all(sub)
		}
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			require.NotEmpty(t, cmd.Example, "a help text has examples")
			args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
			out, errOut, code := p.run(args...)
			require.Zero(t, code)
			require.Empty(t, errOut)
			golden.Equal(t, strings.ReplaceAll("help "+cmd.CommandPath(), " ", "-")+".txt", out)
		})
	}
	streams, _, _, _ := iostreams.Test()
	all(NewCmdRoot(cmdutil.NewFactory(p.env, streams)))
}

func TestWrongUse(t *testing.T) {
	p := newPerson(t)
	var b strings.Builder
	for _, line := range []string{
		"unistall",
		"invok",
		"nothing-like-it",
		"init --slm",
		"init -z",
		"init extra",
		"init --timeout soon",
		"version --output xml",
		"invoke",
		"invoke -a a -m b -d c -f d",
		"completion tcsh",
	} {
		b.WriteString(p.types(strings.Fields(line)...) + "\n")
	}
	golden.Equal(t, "wrong-use.txt", b.String())
}

func TestTheRuntimesLife(t *testing.T) {
	unixOnly(t)
	p := newPerson(t)
	var b strings.Builder
	note := func(args ...string) { b.WriteString(p.types(args...) + "\n") }

	note("version")
	note("status")
	note("init", "--network", "mine", "--runtime-version=1.2.3")
	note("init")
	note("version")
	note("-v")
	note("version", "--output", "json")
	note("build-info")
	note("status")
	note("status", "-o", "json")

	p.payload = payload(t, "1.1.0")
	require.NoError(t, os.Remove(p.layout().Config()))
	note("init", "--log-as-json")
	p.payload = payload(t, "1.0.0")
	note("init")
	require.NoError(t, os.WriteFile(p.layout().Config(), []byte("mine"), 0o600))
	require.NoError(t, os.WriteFile(p.layout().StateDB(), []byte("state"), 0o600))

	app, err := instances.Register(p.layout().Instances(), instances.Instance{AppID: "nodeapp", PID: 1})
	require.NoError(t, err)
	note("status")
	note("uninstall")
	require.NoError(t, app.Close())

	note("uninstall", "--dry-run")
	note("uninstall", "--network", "mine")
	note("uninstall")
	note("init")
	note("uninstall", "--all", "--dry-run")
	note("uninstall", "--all")
	golden.Equal(t, "life.txt", pseudoCommit(b.String()))
	require.NoDirExists(t, p.layout().Root)
}

// pseudoCommit hides what every build has of its own.
func pseudoCommit(s string) string {
	return regexp.MustCompile(`Git (Commit|Version): [0-9a-z-]*\n\tGit Version: .*`).ReplaceAllString(s, "Git Commit: …\n\tGit Version: …")
}

func TestWithoutACluster(t *testing.T) {
	p := newPerson(t)
	for _, command := range []string{"init", "upgrade", "uninstall"} {
		_, errOut, code := p.run(command, "-k")
		require.Equal(t, 1, code)
		require.Contains(t, errOut, "no cluster to talk to: there is no kubeconfig in "+filepath.Join(p.home, ".kube", "config"))
	}
	require.NoDirExists(t, p.layout().Root)
}

func TestTheRuntimesFolder(t *testing.T) {
	unixOnly(t)
	byFlag, byEnv := t.TempDir(), t.TempDir()
	p := newPerson(t)
	_, _, code := p.run("init")
	require.Zero(t, code)
	require.DirExists(t, p.layout().Root)

	p.env = append(p.env, "DAPR_RUNTIME_PATH="+byEnv)
	_, _, code = p.run("init")
	require.Zero(t, code)
	require.DirExists(t, filepath.Join(byEnv, ".dapr"))

	_, _, code = p.run("init", "--runtime-path", byFlag)
	require.Zero(t, code)
	require.DirExists(t, filepath.Join(byFlag, ".dapr"))

	p.env = nil
	_, errOut, code := p.run("init")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "HOME is not set")
	for _, command := range []string{"version", "build-info"} { // as an installer asks
		out, _, code := p.run(command)
		require.Zero(t, code)
		require.Contains(t, out, "n/a")
	}

	_, errOut, code = p.run("init", "--runtime-path", os.Args[0])
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "is not a folder")
}

func TestTheFileOfDefaults(t *testing.T) {
	p := newPerson(t)
	require.NoError(t, os.MkdirAll(p.layout().Root, 0o755))
	write := func(text string) {
		require.NoError(t, os.WriteFile(p.layout().CLIConfig(), []byte(text), 0o600))
	}
	write("version:\n  output: json\n")
	out, _, code := p.run("version")
	require.Zero(t, code)
	require.Contains(t, out, `"Cli version"`)

	write("versoin:\n  output: json\n")
	_, errOut, code := p.run("version")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, `cli.yaml: versoin: no flag or command has this name; did you mean "version"?`)
	_, _, code = p.run("version", "--help")
	require.Zero(t, code)
}

func TestCompletion(t *testing.T) {
	p := newPerson(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _, code := p.run("completion", shell)
		require.Zero(t, code)
		require.Contains(t, out, "__complete", shell)
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			check := exec.Command(path, "-n")
			check.Stdin = strings.NewReader(out)
			require.NoError(t, check.Run(), shell)
		}
	}

	app, err := instances.Register(p.layout().Instances(), instances.Instance{AppID: "nodeapp", PID: 1})
	require.NoError(t, err)
	defer app.Close()
	out, _, _ := p.run(cobra.ShellCompRequestCmd, "invoke", "--app-id", "")
	require.True(t, strings.HasPrefix(out, "nodeapp\n"), out)
	out, _, _ = p.run(cobra.ShellCompRequestCmd, "version", "--output", "")
	require.True(t, strings.HasPrefix(out, "json\n"), out)
}

func TestInvoke(t *testing.T) {
	unixOnly(t)
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		switch r.URL.Path {
		case "/v1.0/invoke/nodeapp/method/fails":
			http.Error(w, `{"errorCode":"ERR"}`, http.StatusInternalServerError)
		case "/v1.0/invoke/nodeapp/method/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/v1.0/invoke/nodeapp/method/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = w.Write([]byte(strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("dapr-api-token"), body.String()}, " ")))
		}
	}))
	defer sidecar.Close()
	p := newPerson(t)
	app, err := instances.Register(p.layout().Instances(), instances.Instance{
		AppID: "nodeapp", PID: 1, HTTPPort: sidecar.Listener.Addr().(*net.TCPAddr).Port,
	})
	require.NoError(t, err)
	defer app.Close()
	file := filepath.Join(p.home, "order.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"file":1}`), 0o600))

	var b strings.Builder
	note := func(args ...string) { b.WriteString(p.types(append([]string{"invoke"}, args...)...) + "\n") }
	note("-a", "nodeapp", "-m", "neworder", "-d", `{"orderId":1}`)
	note("--app-id", "nodeapp", "--method", "/order?id=1", "--verb", "get")
	note("-a", "nodeapp", "-m", "neworder", "-f", file)
	p.in = `{"stdin":1}`
	note("-a", "nodeapp", "-m", "neworder", "-f", "-")
	note("-a", "nodeapp", "-m", "empty")
	note("-a", "nodeapp", "-m", "moved")
	note("-a", "nodeapp", "-m", "fails")
	note("-a", "nodeap", "-m", "x")
	note("-a", "other-one", "-m", "x")
	note("-a", "nodeapp", "-m", "x", "-f", filepath.Join(p.home, "none.json"))
	p.env = append(p.env, "DAPR_API_TOKEN=secret", "DAPR_APP_ID=nodeapp")
	note("-m", "neworder")
	golden.Equal(t, "invoke.txt", b.String())
}

func TestInvokeThroughASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "dapr-nodeapp-http.socket"))
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()

	p := newPerson(t)
	out, errOut, code := p.run("invoke", "-a", "nodeapp", "-m", "order", "-u", dir)
	require.Zero(t, code, errOut)
	require.Equal(t, "/v1.0/invoke/nodeapp/method/order\n✅  App invoked successfully\n", out)

	app, err := instances.Register(p.layout().Instances(), instances.Instance{AppID: "nodeapp", PID: 1, SocketDir: dir})
	require.NoError(t, err)
	defer app.Close()
	_, errOut, code = p.run("invoke", "-a", "nodeapp", "-m", "order")
	require.Zero(t, code, errOut)
}

func TestErrorsBecomeExitCodes(t *testing.T) {
	tests := map[string]struct {
		err    error
		code   int
		errOut string
	}{
		"none":         {},
		"any":          {err: errors.New("broken"), code: 1, errOut: "❌  broken\n"},
		"already said": {err: cmdutil.ErrSilent, code: 1},
		"the app's":    {err: &cmdutil.ExitError{Code: 42}, code: 42},
		"own code":     {err: &cmdutil.ExitError{Code: 3, Err: errors.New("three")}, code: 3, errOut: "❌  three\n"},
		"wrong use":    {err: cmdutil.FlagErrorf("--a needs --b"), code: 255, errOut: "❌  --a needs --b\nRun \"dapr fake --help\" for help.\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			streams, _, _, errOut := iostreams.Test()
			f := cmdutil.NewFactory([]string{"HOME=" + t.TempDir()}, streams)
			root := NewCmdRoot(f)
			root.AddCommand(&cobra.Command{Use: "fake", RunE: func(*cobra.Command, []string) error { return tt.err }})
			require.Equal(t, tt.code, execute(t.Context(), f, root, []string{"fake"}))
			require.Equal(t, tt.errOut, errOut.String())
		})
	}
}

func TestSignals(t *testing.T) {
	// The app answers only when the test says so.
	arrived := make(chan struct{}, 1)
	release := make(chan struct{})
	sidecar := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer sidecar.Close()
	defer close(release)
	p := newPerson(t)
	app, err := instances.Register(p.layout().Instances(), instances.Instance{
		AppID: "nodeapp", PID: 1, HTTPPort: sidecar.Listener.Addr().(*net.TCPAddr).Port,
	})
	require.NoError(t, err)
	defer app.Close()

	streams, _, _, errOut := iostreams.Test()
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() {
		code <- Main(t.Context(), []string{"invoke", "-a", "nodeapp", "-m", "slow"}, p.env, streams, signals)
	}()
	<-arrived
	signals <- syscall.SIGTERM
	select {
	case c := <-code:
		require.Equal(t, 130, c)
		require.Empty(t, errOut.String())
	case <-time.After(10 * time.Second):
		t.Fatal("the signal did not end the command")
	}
}
