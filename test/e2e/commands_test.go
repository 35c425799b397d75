//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for what must happen.
const patience = 30 * time.Second

type homeKey struct{}

// instance is what the scripts need of "dapr list -o json".
type instance struct {
	AppID    string
	DaprdPID int
	CLIPID   int
	AppPID   int
}

// eventuallyTrue polls until the condition holds.
func eventuallyTrue(limit time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

func dapr(ts *testscript.TestScript, args ...string) string {
	cmd := exec.Command(filepath.Join(bin, "dapr"), args...)
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func find(ts *testscript.TestScript, appID string) (instance, bool) {
	var list []instance
	if err := json.Unmarshal([]byte(dapr(ts, "list", "-o", "json")), &list); err != nil {
		return instance{}, false
	}
	for _, i := range list {
		if i.AppID == appID {
			return i, true
		}
	}
	return instance{}, false
}

// up waits until an app is listed with all its processes, and its log shows a
// text if one is given: up APPID [REGEXP]. With -sidecar the app has none.
func up(ts *testscript.TestScript, neg bool, args []string) {
	alone := len(args) > 0 && args[0] == "-sidecar"
	if alone {
		args = args[1:]
	}
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: up [-sidecar] APPID [REGEXP]")
	}
	var text *regexp.Regexp
	if len(args) == 2 {
		text = regexp.MustCompile("(?m)" + args[1])
	}
	if !eventuallyTrue(patience, func() bool {
		i, ok := find(ts, args[0])
		return ok && i.CLIPID > 0 && (alone || i.AppPID > 0) &&
			(text == nil || text.MatchString(dapr(ts, "logs", "-a", args[0])))
	}) {
		ts.Fatalf("%v is not up; list: %s; logs: %s", args, dapr(ts, "list"), dapr(ts, "logs", "-a", args[0]))
	}
}

var signals = map[string]syscall.Signal{
	"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
}

// signal sends a signal: signal NAME cli|keeper|daprd|app APPID.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: signal NAME cli|keeper|daprd|app APPID")
	}
	i, ok := find(ts, args[2])
	pid := map[string]int{"cli": i.CLIPID, "daprd": i.DaprdPID, "app": i.AppPID}[args[1]]
	if args[1] == "keeper" {
		pid = keeper(ts)
	}
	if !ok || pid == 0 {
		ts.Fatalf("no %s of %s", args[1], args[2])
	}
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}

// keeper finds the keeper of the only run in the script's home.
func keeper(ts *testscript.TestScript) int {
	for _, pid := range processesOf(ts.Value(homeKey{}).(string)) {
		name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		if err == nil && strings.TrimSpace(string(name)) == "run-keeper" {
			return pid
		}
	}
	return 0
}

// exits runs a command and checks its exit code: exits CODE COMMAND [ARG]...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// eventually repeats a command until it succeeds, or with ! fails:
// eventually COMMAND [ARG]...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if !eventuallyTrue(patience, func() bool { return (ts.Exec(args[0], args[1:]...) == nil) != neg }) {
		ts.Fatalf("never: %s", strings.Join(args, " "))
	}
}

// nothingLeft checks that within a duration (by default the grace of 5 seconds
// and one for a busy machine) no process that was started in this home is alive,
// the registry is empty, and so is the list: nothingleft [DURATION].
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	limit := 6 * time.Second
	if len(args) == 1 {
		var err error
		limit, err = time.ParseDuration(args[0])
		ts.Check(err)
	}
	if neg || len(args) > 1 {
		ts.Fatalf("usage: nothingleft [DURATION]")
	}
	home := ts.Value(homeKey{}).(string)
	var left []int
	if !eventuallyTrue(limit, func() bool {
		left = processesOf(home)
		return len(left) == 0
	}) {
		for _, pid := range left {
			line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			ts.Logf("left: %d %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
		ts.Fatalf("%d processes are left after %s", len(left), limit)
	}
	// Looked at before listing, which would clean up what was left.
	entries, err := os.ReadDir(filepath.Join(home, ".dapr", "run"))
	if !errors.Is(err, fs.ErrNotExist) {
		ts.Check(err)
	}
	for _, e := range entries {
		ts.Fatalf("registry entry %s is left", e.Name())
	}
	if list := dapr(ts, "list", "-o", "json"); list != "[]" {
		ts.Fatalf("listed: %s", list)
	}
}

// processesOf finds the living processes that were started in a home: they have
// it in their environment, however far they have gone.
func processesOf(home string) []int {
	var pids []int
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte("HOME="+home+"\x00")) {
			continue // gone, a zombie (which has no environment), or another's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// freePort sets a variable to a port nobody listens on: freeport NAME. With
// -busy somebody does, until the script ends.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	busy := len(args) > 0 && args[0] == "-busy"
	if busy {
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport [-busy] NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	if busy {
		ts.Defer(func() { l.Close() })
		return
	}
	ts.Check(l.Close())
}
