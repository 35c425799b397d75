package standalone

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"
)

// console brings the output of several programs together, line by line, each
// line with its program's prefix, and keeps copies in files.
type console struct {
	mu sync.Mutex
	// open is the source whose last line is not complete yet, such as a prompt.
	open *source
	// journal gets every line as the console shows it, without colours.
	journal io.Writer
	color   bool
}

// source is one output of one program. It is an io.Writer that never fails: a
// terminal that was closed or a full disk must not stop the program.
type source struct {
	console *console
	prefix  string
	style   string
	screen  io.Writer
	// copy gets the lines without prefix and colours.
	copy io.Writer
	// last is called with every line.
	last func(line string)

	mu      sync.Mutex
	partial []byte
	// shown is how much of partial is on the screen.
	shown int
	flush *time.Timer
}

// promptDelay is how long an incomplete line waits for its rest before it is
// shown: long enough that a line written in pieces stays in one, short enough
// that nobody waits for a prompt.
const promptDelay = 50 * time.Millisecond

// longestLine is where a line is broken, in bytes.
const longestLine = 1 << 20

// Write implements io.Writer.
func (s *source) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = append(s.partial, p...)
	for {
		end := bytes.IndexByte(s.partial, '\n')
		if end < 0 && len(s.partial) < longestLine {
			break
		}
		if end < 0 {
			s.emit(s.partial)
			s.partial = s.partial[:0]
			break
		}
		s.emit(bytes.TrimSuffix(s.partial[:end], []byte("\r")))
		s.partial = s.partial[end+1:]
	}
	if len(s.partial) > s.shown {
		if s.flush == nil {
			s.flush = time.AfterFunc(promptDelay, s.showPartial)
		}
		s.flush.Reset(promptDelay)
	}
	return len(p), nil
}

// close emits a last line that has no end.
func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flush != nil {
		s.flush.Stop()
	}
	if len(s.partial) > 0 {
		s.emit(s.partial)
		s.partial = nil
	}
}

// emit shows and keeps one line.
func (s *source) emit(line []byte) {
	c := s.console
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == s {
		fmt.Fprintf(s.screen, "%s\n", line[min(s.shown, len(line)):])
		c.open = nil
	} else {
		c.breakLine()
		fmt.Fprintf(s.screen, "%s%s\n", s.painted(), line)
	}
	s.shown = 0
	plain := escapes.ReplaceAll(line, nil)
	fmt.Fprintf(s.copy, "%s\n", plain)
	fmt.Fprintf(c.journal, "%s%s\n", s.prefix, plain)
	if s.last != nil {
		s.last(string(plain))
	}
}

func (s *source) showPartial() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.partial) <= s.shown {
		return
	}
	c := s.console
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == s {
		fmt.Fprintf(s.screen, "%s", s.partial[s.shown:])
	} else {
		c.breakLine()
		fmt.Fprintf(s.screen, "%s%s", s.painted(), s.partial)
		c.open = s
	}
	s.shown = len(s.partial)
}

func (s *source) painted() string {
	if s.console.color {
		return "\x1b[" + s.style + "m" + s.prefix + "\x1b[0m"
	}
	return s.prefix
}

// breakLine ends an incomplete line, because another source has a line to show.
// The line is shown from its beginning when it goes on.
func (c *console) breakLine() {
	if c.open != nil {
		fmt.Fprintln(c.open.screen)
		c.open = nil
	}
}

// between calls show between two lines.
func (c *console) between(show func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breakLine()
	show()
}

// escapes are the sequences a terminal does not show: colours and cursor moves,
// links and titles.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)`)
