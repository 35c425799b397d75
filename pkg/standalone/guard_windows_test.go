package standalone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// The test's program plays an app when it is run under one of these names as
// its first argument.
const (
	roleParent = "__parent" // starts a child that gets away, and waits
	roleWait   = "__wait"
	roleDeaf   = "__deaf"
	roleHolder = "__holder" // holds a guard, with a parent in it
	roleSay    = "__say"    // its arguments, one a line
)

func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case roleParent:
		child := exec.Command(os.Args[0], roleWait)
		child.SysProcAttr = &windows.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
		if err := child.Start(); err != nil {
			fmt.Println("error:", err)
			os.Exit(3)
		}
		fmt.Println(child.Process.Pid)
		time.Sleep(time.Hour)
	case roleWait:
		time.Sleep(time.Hour)
	case roleDeaf:
		signal.Ignore(os.Interrupt)
		fmt.Println("deaf")
		time.Sleep(time.Hour)
	case roleHolder:
		hold()
	case roleSay:
		fmt.Println(strings.Join(os.Args[2:], "\n"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold starts a parent in a guard, tells the process ids and waits.
func hold() {
	g, err := newGuard(newTrace(os.TempDir(), time.Second, nil), nil, nil)
	if err == nil {
		cmd := exec.Command(os.Args[0], roleParent)
		cmd.Env = os.Environ()
		cmd.Stdout = os.Stdout
		err = g.start(appPart, cmd)
		fmt.Println(g.trace.App)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(3)
	}
	time.Sleep(time.Hour)
}

func self(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program, args...)
	cmd.Env = os.Environ()
	cmd.Stderr = os.Stderr
	return cmd
}

func newTestGuard(t *testing.T) *guard {
	t.Helper()
	g, err := newGuard(newTrace(t.TempDir(), 2*time.Second, nil), nil, nil)
	require.NoError(t, err)
	return g
}

// startInGuard starts a role in the guard and returns its first line.
func startInGuard(t *testing.T, g *guard, role string) string {
	t.Helper()
	cmd := self(t, role)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = w
	require.NoError(t, g.start(appPart, cmd))
	require.NoError(t, w.Close())
	go func() { _ = cmd.Wait() }()
	return readLine(t, bufio.NewReader(r))
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

func gone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, 20*time.Second, 20*time.Millisecond, "process %d lives", pid)
	}
}

func TestTheJobHoldsWhoGetsAway(t *testing.T) {
	g := newTestGuard(t)
	child := pid(startInGuard(t, g, roleParent))
	require.NotZero(t, child)
	app, err := g.members(appPart)
	require.NoError(t, err)
	require.Contains(t, app, child)
	require.Contains(t, app, g.trace.App)
	require.True(t, isChild(child, g.trace.App))
	require.False(t, isChild(child, os.Getpid()))

	require.NoError(t, g.end(t.Context()))
	gone(t, g.trace.App, child)
	require.NoError(t, g.close())
}

func TestADeafAppIsKilled(t *testing.T) {
	g := newTestGuard(t)
	require.Equal(t, "deaf", startInGuard(t, g, roleDeaf))
	require.NoError(t, g.end(t.Context()))
	gone(t, g.trace.App)
	require.NoError(t, g.close())
}

func TestTwoRunsOfOneCLIEndApart(t *testing.T) {
	one, other := newTestGuard(t), newTestGuard(t)
	startInGuard(t, one, roleParent)
	child := pid(startInGuard(t, other, roleParent))
	require.NoError(t, one.close())
	gone(t, one.trace.App)
	require.True(t, alive(other.trace.App))
	require.True(t, alive(child))
	require.NoError(t, other.close())
	gone(t, other.trace.App, child)
}

// However the CLI ends, nothing of the run is left: the system closes the job.
func TestAKilledCLITakesEverythingAlong(t *testing.T) {
	cli := self(t, roleHolder)
	out, err := cli.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cli.Start())
	lines := bufio.NewReader(out)
	app, child := pid(readLine(t, lines)), pid(readLine(t, lines))
	require.NotZero(t, app)
	require.NotZero(t, child)
	require.NoError(t, cli.Process.Kill())
	_ = cli.Wait()
	gone(t, app, child)
}

func TestStopRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	one, err := stopRequests(ctx)
	require.NoError(t, err)
	other, err := stopRequests(ctx)
	require.NoError(t, err)
	require.NoError(t, requestStop(os.Getpid()))
	for _, requests := range []<-chan struct{}{one, other} {
		select {
		case <-requests:
		case <-time.After(20 * time.Second):
			t.Fatal("the request did not arrive")
		}
	}
	cancel()
	require.Eventually(t, func() bool {
		name, err := windows.UTF16PtrFromString(stopEvent(os.Getpid()))
		require.NoError(t, err)
		event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
		if err == nil {
			_ = windows.CloseHandle(event)
		}
		return errors.Is(err, windows.ERROR_FILE_NOT_FOUND)
	}, 20*time.Second, 20*time.Millisecond, "the event stays")
}

func TestOneWhoTakesNoRequestsIsEnded(t *testing.T) {
	cmd := self(t, roleWait)
	require.NoError(t, cmd.Start())
	require.NoError(t, requestStop(cmd.Process.Pid))
	require.Error(t, cmd.Wait())
}

func TestABatchFileGetsItsArguments(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	folder := filepath.Join(t.TempDir(), "a folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	file := filepath.Join(folder, "app.cmd")
	require.NoError(t, os.WriteFile(file, []byte("@\""+program+"\" "+roleSay+" %*\r\n"), 0o600))
	args := []string{"plain", "two words", "a&b", `C:\dir\`, strconv.Itoa(1)}

	g := newTestGuard(t)
	cmd := exec.Command(file, args...)
	cmd.Env = os.Environ()
	var out strings.Builder
	p, err := launch(g, appPart, cmd, &out, os.Stderr)
	require.NoError(t, err)
	<-p.done
	p.output.Wait()
	require.Equal(t, strings.Join(args, "\n"), strings.TrimSpace(strings.ReplaceAll(out.String(), "\r", "")))
	require.NoError(t, g.close())
}
