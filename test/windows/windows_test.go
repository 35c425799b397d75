//go:build wine

// Package windows tells the developer's story with the programs for Windows,
// which wine runs: see run.sh, which sets it up. What wine cannot show is in
// docs/contributing.md.
package windows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/iostreams"
)

// patience is how long anything may take.
const patience = time.Minute

// programs is the folder of the programs under test, drive the folder that is C:
// to them.
var programs, drive string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	prefix := os.Getenv("WINEPREFIX")
	if prefix == "" {
		fmt.Println("WINEPREFIX is not set: run \"make test-windows\"")
		return 1
	}
	drive = filepath.Join(prefix, "drive_c")
	// A blank in every path.
	programs = filepath.Join(drive, "Program Files", "dapr")
	build := exec.Command("go", "build", "-o", filepath.Join(programs, "testapp.exe"), "./test/e2e/testapp")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build the app: %v\n%s", err, out)
		return 1
	}
	cli, err := os.ReadFile(filepath.Join("..", "..", "dist", "windows_amd64", "dapr.exe"))
	if err == nil {
		err = os.WriteFile(filepath.Join(programs, "dapr.exe"), cli, 0o755)
	}
	if err != nil {
		fmt.Printf("%v: run \"make test-windows\"\n", err)
		return 1
	}
	return m.Run()
}

// machine is a runtime folder on the Windows of these tests.
type machine struct {
	t *testing.T
	// home is the folder's parent as Windows calls it, folder as the system does.
	home, folder string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	name := "Ada " + strings.ReplaceAll(t.Name(), "/", " ")
	m := machine{t: t, home: `C:\` + name, folder: filepath.Join(drive, name)}
	require.NoError(t, os.Mkdir(m.folder, 0o755))
	t.Cleanup(func() {
		for _, i := range m.list() {
			m.dapr("stop", "--app-id", i.AppID)
		}
	})
	return m
}

func (m machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("wine", append([]string{`C:\Program Files\dapr\dapr.exe`}, args...)...)
	cmd.Dir = programs
	// Wine's own processes keep the pipes of whoever started them.
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "DAPR_RUNTIME_PATH="+m.home)
	return cmd
}

// dapr runs a command to its end and returns what it said, as Unix ends lines.
func (m machine) dapr(args ...string) (said string, code int) {
	m.t.Helper()
	cmd := m.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(m.t, cmd.Start())
	over := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // the code says it
	require.True(m.t, over.Stop(), "dapr %v does not end", args)
	return strings.ReplaceAll(out.String(), "\r", ""), cmd.ProcessState.ExitCode()
}

func (m machine) succeeds(args ...string) string {
	m.t.Helper()
	said, code := m.dapr(args...)
	require.Zero(m.t, code, said)
	return said
}

// instance is an app as "dapr list" tells of it.
type instance struct {
	AppID    string
	CLIPID   int
	AppPID   int
	DaprdPID int
}

func (m machine) list() []instance {
	m.t.Helper()
	var list []instance
	require.NoError(m.t, json.Unmarshal([]byte(m.succeeds("list", "-o", "json")), &list))
	return list
}

func (m machine) find(appID string) instance {
	m.t.Helper()
	for _, i := range m.list() {
		if i.AppID == appID {
			return i
		}
	}
	m.t.Fatalf("%s is not listed", appID)
	return instance{}
}

// started is a "dapr run" on a console or, without one, with its output in a
// pipe.
type started struct {
	t       *testing.T
	cmd     *exec.Cmd
	console *os.File
	done    chan struct{}
	shown   iostreams.Buffer
}

// start runs an app until it is up.
func (m machine) start(onConsole bool, appID string, app ...string) *started {
	m.t.Helper()
	s := &started{t: m.t, done: make(chan struct{})}
	s.cmd = m.command(append([]string{"run", "--app-id", appID, "--app-port", freePort(m.t), "--log-level", "error", "--"}, app...)...)
	if onConsole {
		s.cmd.Env = append(s.cmd.Env, "TERM=xterm")
		console, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 50, Cols: 200})
		require.NoError(m.t, err)
		s.console = console
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := console.Read(buf)
				_, _ = s.shown.Write(buf[:n])
				if err != nil {
					return
				}
			}
		}()
	} else {
		s.cmd.Stdout, s.cmd.Stderr = &s.shown, &s.shown
		require.NoError(m.t, s.cmd.Start())
	}
	go func() {
		_ = s.cmd.Wait() // the code says it
		close(s.done)
	}()
	s.shows("You're up and running!")
	return s
}

// freePort is a port for an app, which a run takes for nothing else.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := freeport.Listen("127.0.0.1", 0, "")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(freeport.Port(l))
}

func (s *started) shows(text string) {
	s.t.Helper()
	eventually(s.t, func() bool { return strings.Contains(s.shown.String(), text) }, s.shown.String)
}

func (s *started) ends() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the run does not end, but says:\n%s", s.shown.String())
	}
}

func eventually(t *testing.T, condition func() bool, otherwise func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this does not come about: %s", otherwise())
		}
	}
}

// processes are the command lines of the programs that run with a text in them.
func processes(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		words := strings.ReplaceAll(string(line), "\x00", " ")
		if strings.Contains(words, text) && strings.Contains(words, ".exe") {
			found = append(found, words)
		}
	}
	return found
}

// nothingLeft waits until no program has the text in its command line.
func nothingLeft(t *testing.T, text string) {
	t.Helper()
	var left []string
	eventually(t, func() bool {
		left = processes(t, text)
		return len(left) == 0
	}, func() string { return "still running: " + strings.Join(left, "\n") })
}

// hasNothingOf is for an app that marks its processes with its id.
func (m machine) hasNothingOf(appID string) {
	m.t.Helper()
	nothingLeft(m.t, "marked-"+appID)
	nothingLeft(m.t, "--app-id "+appID)
	require.Empty(m.t, m.list())
}

func TestTheRuntimesLife(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, "Runtime version: n/a", lastLine(m.succeeds("version")))
	said := m.succeeds("init")
	require.Contains(t, said, `Created `+m.home+`\.dapr\bin\daprd.exe`)
	require.Contains(t, said, "\nSuccess! The runtime is in "+m.home+`\.dapr`, "without a symbol before it")
	require.FileExists(t, filepath.Join(m.folder, ".dapr", "bin", "daprd.exe"))
	require.NotContains(t, m.succeeds("version"), "n/a")
	require.Equal(t, "No Dapr instances found.", lastLine(m.succeeds("list")))
	m.succeeds("uninstall")
	require.NoDirExists(t, filepath.Join(m.folder, ".dapr"))
}

func lastLine(said string) string {
	said = strings.TrimSpace(said)
	return said[strings.LastIndexByte(said, '\n')+1:]
}

func TestTheHomeFolder(t *testing.T) {
	m := newMachine(t)
	m.home = "" // as if the variable were not set
	require.Contains(t, m.succeeds("init"), `\.dapr`)
	found, err := filepath.Glob(filepath.Join(drive, "users", "*", ".dapr", "bin", "daprd.exe"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	m.succeeds("uninstall")
	require.NoFileExists(t, found[0])
}

func TestAnAppWithItsSidecar(t *testing.T) {
	m := newMachine(t)
	s := m.start(false, "orders", `.\testapp.exe`, "say", "marked-orders", "save", "k", "in sqlite", "load", "k", "serve")
	s.shows("== APP == 204")
	s.shows(`== APP == 200 "in sqlite"`)
	require.Contains(t, m.succeeds("invoke", "--app-id", "orders", "--method", "echo", "--data", `{"a":1}`), `POST {"a":1}`)
	require.Contains(t, m.succeeds("list"), "orders")
	require.Contains(t, m.succeeds("logs", "--app-id", "orders"), "== APP == serving")
	require.NotEmpty(t, processes(t, "marked-orders"), "the tests below look for the app in this way")

	require.Contains(t, m.succeeds("stop", "--app-id", "orders"), "app stopped successfully: orders")
	s.ends()
	s.shows("terminated signal received: shutting down")
	m.hasNothingOf("orders")
}

func TestStopReachesOneOfSeveral(t *testing.T) {
	m := newMachine(t)
	m.succeeds("init")
	one := m.start(false, "one", `.\testapp.exe`, "say", "marked-one", "spawn", "wait")
	other := m.start(false, "other", `.\testapp.exe`, "say", "marked-other", "spawn", "wait")
	m.succeeds("stop", "--app-id", "one")
	one.ends()
	nothingLeft(t, "marked-one")
	require.Len(t, m.list(), 1)
	require.NotEmpty(t, processes(t, "marked-other"))
	m.succeeds("stop", "--app-id", "other")
	other.ends()
	nothingLeft(t, "marked-other")
}

func TestControlC(t *testing.T) {
	m := newMachine(t)
	s := m.start(true, "typed", `.\testapp.exe`, "say", "marked-typed", "daemon", "say", "marked-typed", "deaf", "wait")
	s.shows("\x1b[92;1m== APP == ") // the console reads colours
	_, err := s.console.WriteString("\x03")
	require.NoError(t, err)
	s.shows("terminated signal received: shutting down")
	s.ends()
	m.hasNothingOf("typed")
}

// However the CLI ends, the system takes the rest along.
func TestTaskkillOfTheCLI(t *testing.T) {
	m := newMachine(t)
	s := m.start(false, "killed", `.\testapp.exe`, "say", "marked-killed", "daemon", "say", "marked-killed", "deaf", "wait")
	kill := exec.Command("wine", "taskkill", "/F", "/PID", strconv.Itoa(m.find("killed").CLIPID))
	out, err := kill.CombinedOutput()
	require.NoError(t, err, string(out))
	s.ends()
	m.hasNothingOf("killed")
}

func TestTheAppsExitCode(t *testing.T) {
	m := newMachine(t)
	said, code := m.dapr("run", "--app-id", "ends", "--log-level", "error", "--", `.\testapp.exe`, "env", "APP_ID", "exit", "3")
	require.Equal(t, 3, code, said)
	require.Contains(t, said, "== APP == APP_ID=ends\n")
	require.Contains(t, said, "\nThe app exited with code 3\n")
	require.Empty(t, m.list())
}

// npm and many other commands are batch files.
func TestABatchFile(t *testing.T) {
	m := newMachine(t)
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, "npm start.cmd"), []byte("@\"C:\\Program Files\\dapr\\testapp.exe\" %*\r\n"), 0o600))
	said, code := m.dapr("run", "--app-id", "batch", "--log-level", "error", "--", m.home+`\npm start.cmd`, "say", "a&echo b", "exit", "4")
	require.Equal(t, 4, code, said)
	require.Contains(t, said, "== APP == a&echo b\n")
}

// Windows does not replace a program that runs, but lets it be renamed.
func TestAnUpgradeWhileAnAppRuns(t *testing.T) {
	m := newMachine(t)
	s := m.start(false, "running", `.\testapp.exe`, "say", "marked-running", "wait")
	inventory := filepath.Join(m.folder, ".dapr", "inventory.json")
	data, err := os.ReadFile(inventory)
	require.NoError(t, err)
	var content struct {
		Version string           `json:"version"`
		Entries []map[string]any `json:"entries"`
	}
	require.NoError(t, json.Unmarshal(data, &content))
	for _, e := range content.Entries {
		if e["path"] == "bin/daprd.exe" {
			e["sha256"] = strings.Repeat("0", 64)
		}
	}
	data, err = json.Marshal(content)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(inventory, data, 0o600))

	require.Contains(t, m.succeeds("init"), `.dapr\bin\daprd.exe`)
	require.Len(t, m.list(), 1, "the app runs on")
	aside := filepath.Join(m.folder, ".dapr", "bin", ".daprd.exe.old0")
	m.succeeds("stop", "--app-id", "running")
	s.ends()
	m.succeeds("init")
	require.NoFileExists(t, aside)
}
