//go:build linux

package docs

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a session waits for what must happen.
const patience = 30 * time.Second

// terminal is a shell in which a reader types one command after the other.
type terminal struct {
	page  *page
	shell *exec.Cmd
	input func(string)
	// count makes the mark behind each command's output its own.
	count int

	mu     sync.Mutex
	output bytes.Buffer
}

// Write takes what the shell and its children print.
func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.Write(p)
}

// read returns what was printed since the last clear, as the page would show it.
func (w *terminal) read() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.page.shown(w.output.String())
}

func (w *terminal) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output.Reset()
}

func openTerminal(t *testing.T, p *page) *terminal {
	t.Helper()
	w := &terminal{page: p, shell: exec.Command("bash", "--norc")}
	w.shell.Dir, w.shell.Env = p.folder, p.env
	w.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.shell.Stdout, w.shell.Stderr = w, w
	// What is left when the shell has ended must not keep the test waiting.
	w.shell.WaitDelay = 10 * time.Second
	stdin, err := w.shell.StdinPipe()
	require.NoError(t, err)
	w.input = func(line string) {
		_, err := fmt.Fprintln(stdin, line)
		require.NoError(t, err)
	}
	require.NoError(t, w.shell.Start())
	t.Cleanup(func() { w.close(stdin.Close) })
	return w
}

// close ends the shell and what runs in it.
func (w *terminal) close(end func() error) {
	_ = end()
	group := -w.shell.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	killer := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer killer.Stop()
	_ = w.shell.Wait()
}

// reads are commands that a reader repeats until they show what was promised.
var reads = regexp.MustCompile(`^(dapr (list|logs|status) |dapr (list|status)$|dapr invoke .*GET|curl -s(i|S|iS)? [^-]\S*$)`)

// run types a command and compares what it prints, and its exit code.
func (w *terminal) run(t *testing.T, c command, exit string) {
	t.Helper()
	want := c.matcher(w.page.anotherDay)
	deadline := time.Now().Add(patience)
	for {
		got, code := w.execute(t, c)
		if code == exit && want.MatchString(got) {
			return
		}
		if !reads.MatchString(c.text) || time.Now().After(deadline) {
			require.Failf(t, "not what the page says", "%s: %s\nprinted, with exit code %s rather than %s:\n%s\nthe page says:\n%s",
				c.place, c.text, code, exit, got, strings.Join(c.output, "\n"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// execute waits until the command has ended.
func (w *terminal) execute(t *testing.T, c command) (output, code string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	w.clear()
	w.count++
	mark := fmt.Sprintf("[end of command %d] ", w.count)
	w.input(fmt.Sprintf("{ %s\n} </dev/null\necho '%s'$?", w.page.real(c.text), mark))
	for {
		got := w.read()
		if before, after, found := strings.Cut(got, mark); found && strings.HasSuffix(after, "\n") {
			if before != "" && !strings.HasSuffix(before, "\n") {
				before += "\n" // as a terminal shows it
			}
			return before, strings.TrimSpace(after)
		}
		if time.Now().After(deadline) {
			require.Failf(t, "a command does not end", "%s: %s\nprinted:\n%s", c.place, c.text, got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// start types a command that goes on running, and waits for what it prints. A
// sidecar and its app print at the same time: the lines come in any order.
func (w *terminal) start(t *testing.T, c command) {
	t.Helper()
	w.clear()
	var wanted []*regexp.Regexp
	for _, line := range c.output {
		if strings.TrimSpace(line) != "…" {
			wanted = append(wanted, regexp.MustCompile("(?m)^"+lineMatcher(line, w.page.anotherDay)+"$"))
		}
	}
	w.input(w.page.real(c.text) + " </dev/null")
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := w.read()
		missing := slices.IndexFunc(wanted, func(line *regexp.Regexp) bool { return !line.MatchString(got) })
		if missing < 0 {
			return
		}
		if time.Now().After(deadline) {
			require.Failf(t, "not what the page says", "%s: %s\nprinted:\n%s\nmissing:\n%s", c.place, c.text, got, wanted[missing])
		}
	}
}
