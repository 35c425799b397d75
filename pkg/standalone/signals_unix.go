//go:build !windows

package standalone

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// askedCode is the exit code of a program that did nothing but obey when it was
// asked to end.
const askedCode = 128 + int(syscall.SIGTERM)

// exitCode is a program's exit code as shells tell it: 128 plus the signal's
// number when a signal ended it.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// forwardTerminal copies what is typed until the terminal's or the app's end. It
// reads only while this process is in the terminal's foreground: when it was put
// into the background, what is typed belongs to somebody else, and reading would
// stop it.
func forwardTerminal(to io.Writer, terminal *os.File) {
	const pause = 200 * time.Millisecond
	fd := int(terminal.Fd())
	buf := make([]byte, 4096)
	for {
		foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil {
			return
		}
		if foreground != unix.Getpgrp() {
			time.Sleep(pause)
			continue
		}
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, int(pause.Milliseconds())); n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		n, err := terminal.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
