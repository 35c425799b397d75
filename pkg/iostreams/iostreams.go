// Package iostreams is where a command reads and writes: three streams, what is
// known about them (terminal, colours, symbols), and nothing of the process, so
// that a test hands over buffers and the same command runs.
package iostreams

import (
	"io"
	"os"
	"runtime"

	"github.com/mattn/go-isatty"
)

// IOStreams are the streams of one command. The zero value is of no use: take
// System or Test.
type IOStreams struct {
	In     io.Reader
	Out    io.Writer
	ErrOut io.Writer

	lookupEnv func(string) (string, bool)
	goos      string
	inTTY     bool
	outTTY    bool
	errTTY    bool
	// outEscapes and errEscapes tell that a Windows console reads the sequences
	// that make colours.
	outEscapes bool
	errEscapes bool
}

// System returns the streams over a process's files. lookupEnv answers for the
// environment the process was given. A Windows console is switched to reading
// escape sequences, if it can.
func System(in, out, errOut *os.File, lookupEnv func(string) (string, bool)) *IOStreams {
	return &IOStreams{
		In:        in,
		Out:       out,
		ErrOut:    errOut,
		lookupEnv: lookupEnv,
		goos:      runtime.GOOS,
		inTTY:     isTerminal(in),
		outTTY:    isTerminal(out),
		errTTY:    isTerminal(errOut),

		outEscapes: readsEscapes(out),
		errEscapes: readsEscapes(errOut),
	}
}

func isTerminal(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
}

// IsStdinTTY tells whether In is a terminal.
func (s *IOStreams) IsStdinTTY() bool { return s.inTTY }

// IsStdoutTTY tells whether Out is a terminal.
func (s *IOStreams) IsStdoutTTY() bool { return s.outTTY }

// IsStderrTTY tells whether ErrOut is a terminal.
func (s *IOStreams) IsStderrTTY() bool { return s.errTTY }

// ColorEnabled tells whether Out takes colours.
func (s *IOStreams) ColorEnabled() bool { return s.outTTY && s.wantsColor(s.outEscapes) }

// ErrColorEnabled tells whether ErrOut takes colours.
func (s *IOStreams) ErrColorEnabled() bool { return s.errTTY && s.wantsColor(s.errEscapes) }

// CanAnimate tells whether lines of Out can be drawn over, as a spinner does.
func (s *IOStreams) CanAnimate() bool { return s.outTTY && s.env("TERM") != "dumb" }

// SymbolsEnabled tells whether status symbols are shown. The classic Windows
// consoles have no glyphs for them, and scripts written there expect none.
func (s *IOStreams) SymbolsEnabled() bool { return s.goos != "windows" }

func (s *IOStreams) wantsColor(escapes bool) bool {
	// https://no-color.org: any value but the empty one.
	if s.env("NO_COLOR") != "" || s.env("TERM") == "dumb" {
		return false
	}
	// A terminal that is no Windows console, but Cygwin's or Git's, names itself.
	return s.goos != "windows" || escapes || s.env("TERM") != ""
}

func (s *IOStreams) env(name string) string {
	v, _ := s.lookupEnv(name)
	return v
}
