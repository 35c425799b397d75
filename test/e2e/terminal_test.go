//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal is a terminal with a command in its foreground.
type terminal struct {
	pty *os.File
	cmd *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder
}

type terminalKey struct{}

// openTerminal runs a command in a terminal of its own:
// terminal COMMAND [ARG]...
func openTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: terminal COMMAND [ARG]...")
	}
	// Found where the script would find it.
	path := filepath.Join(bin, args[0])
	if _, err := os.Stat(path); err != nil {
		path, err = exec.LookPath(args[0])
		ts.Check(err)
	}
	t := &terminal{cmd: exec.Command(path, args[1:]...)}
	t.cmd.Dir = ts.MkAbs(".")
	t.cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "TERM=xterm"}
	master, err := pty.Start(t.cmd)
	ts.Check(err)
	// A file that blocks in a Read is not closed before that returns, and one that
	// other scripts' programs inherit does not hang up.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	ts.Check(err)
	ts.Check(master.Close())
	ts.Check(unix.SetNonblock(fd, true))
	t.pty = os.NewFile(uintptr(fd), "terminal")
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := t.pty.Read(buf)
			t.mu.Lock()
			t.shown.Write(buf[:n])
			t.mu.Unlock()
			if err != nil {
				_ = t.cmd.Wait() // what it ended with, no script asks
				return
			}
		}
	}()
	ts.Defer(func() { _ = t.pty.Close() })
	terminals(ts)["now"] = t
}

// terminals holds the script's terminal.
func terminals(ts *testscript.TestScript) map[string]*terminal {
	return ts.Value(terminalKey{}).(map[string]*terminal)
}

func current(ts *testscript.TestScript) *terminal {
	t := terminals(ts)["now"]
	if t == nil {
		ts.Fatalf("there is no terminal yet")
	}
	return t
}

// screen waits until the terminal shows a text: screen REGEXP.
func screen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: screen REGEXP")
	}
	t, text := current(ts), regexp.MustCompile("(?m)"+args[0])
	show := func() string {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.shown.String()
	}
	if !eventuallyTrue(patience, func() bool { return text.MatchString(show()) }) {
		ts.Fatalf("the terminal never shows %s, but:\n%s", args[0], show())
	}
}

// typeText types a line, or a control character written as ^C: type TEXT.
func typeText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: type TEXT")
	}
	text := args[0] + "\n"
	if letter, ok := strings.CutPrefix(args[0], "^"); ok {
		text = string(letter[0] - '@')
	}
	_, err := current(ts).pty.WriteString(text)
	ts.Check(err)
}

// hangUp closes the terminal.
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	ts.Check(current(ts).pty.Close())
}
