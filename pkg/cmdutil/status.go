package cmdutil

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/briandowns/spinner"

	"github.com/hyperdapr/dapr/pkg/iostreams"
)

// Status is the kind of a status line.
type Status string

// The kinds, named as --log-as-json names them.
const (
	Success Status = "success"
	Failure Status = "failure"
	Warning Status = "warning"
	Info    Status = "info"
	Pending Status = "pending"
)

// The gap after the symbol is two columns wide everywhere: terminals draw the
// symbols themselves one or two columns wide.
var symbols = map[Status]string{
	Success: "✅  ",
	Failure: "❌  ",
	Warning: "⚠  ",
	Info:    "ℹ️  ",
	Pending: "⌛  ",
}

// Printer prints status lines: failures on the error stream, the rest on the
// output stream. It may be used by several goroutines.
type Printer struct {
	streams *iostreams.IOStreams
	now     func() time.Time
	asJSON  func() bool
	mu      sync.Mutex
}

// NewPrinter returns a Printer. asJSON is asked at every line, because the flag
// behind it is parsed after the printer is made.
func NewPrinter(streams *iostreams.IOStreams, now func() time.Time, asJSON func() bool) *Printer {
	return &Printer{streams: streams, now: now, asJSON: asJSON}
}

// AsJSON tells whether the lines are JSON objects.
func (p *Printer) AsJSON() bool { return p.asJSON() }

// Success says that something was done.
func (p *Printer) Success(format string, args ...any) { p.print(Success, format, args) }

// Failure says that something was not done.
func (p *Printer) Failure(format string, args ...any) { p.print(Failure, format, args) }

// Warning says what the user should look into.
func (p *Printer) Warning(format string, args ...any) { p.print(Warning, format, args) }

// Info says what is good to know.
func (p *Printer) Info(format string, args ...any) { p.print(Info, format, args) }

// Pending says that something has begun.
func (p *Printer) Pending(format string, args ...any) { p.print(Pending, format, args) }

// Line prints a line of a kind on a writer of the caller's choice, such as a
// command's log.
func (p *Printer) Line(w io.Writer, kind Status, msg string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asJSON() {
		line := struct {
			Time   time.Time `json:"time"`
			Status Status    `json:"status"`
			Msg    string    `json:"msg"`
		}{p.now().UTC(), kind, msg}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(line) // nobody is left to tell when the output is gone
		return
	}
	prefix := ""
	if p.streams.SymbolsEnabled() {
		prefix = symbols[kind]
	}
	fmt.Fprintln(w, prefix+msg)
}

func (p *Printer) print(kind Status, format string, args []any) {
	w := p.streams.Out
	if kind == Failure {
		w = p.streams.ErrOut
	}
	p.Line(w, kind, fmt.Sprintf(format, args...))
}

// Spin shows that msg is under way until the returned function is called: a
// spinner on a terminal, else a pending line. It ends with a line of the same
// text that says success, or failure when err is not nil.
func (p *Printer) Spin(msg string) (done func(err error)) {
	stop := func() {}
	if out, ok := p.streams.Out.(*os.File); ok && p.streams.CanAnimate() && !p.asJSON() {
		s := spinner.New(spinner.CharSets[0], 100*time.Millisecond,
			spinner.WithWriterFile(out),
			spinner.WithSuffix("  "+msg),
			// A program killed while it spins must leave the cursor visible.
			spinner.WithHiddenCursor(false))
		if p.streams.ColorEnabled() {
			_ = s.Color("cyan")
		}
		s.Start()
		stop = s.Stop
	} else {
		p.Pending("%s", msg)
	}
	return func(err error) {
		stop()
		if err != nil {
			p.Failure("%s", msg)
			return
		}
		p.Success("%s", msg)
	}
}
