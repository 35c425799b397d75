package standalone

import (
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// askedCode is the exit code of a program that did nothing but obey when it was
// asked to end.
const askedCode = int(windows.STATUS_CONTROL_C_EXIT)

// killedCode is the exit code of a program that was killed, as the system gives
// it with TerminateProcess from elsewhere.
const killedCode = 1

func exitCode(state *os.ProcessState) int { return state.ExitCode() }

// forwardTerminal copies what is typed until the terminal's or the app's end.
func forwardTerminal(to io.Writer, terminal *os.File) { _, _ = io.Copy(to, terminal) }
