// Package doctor examines a machine or a cluster that the runtime is on, and
// says of everything it finds what to do about it. A check is one function in a
// table: those of a machine in machine.go, those of a cluster in cluster.go. It
// only looks; what it can mend without losing anything it mends when it is asked
// to.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Info    Level = "info"    // good to know
	Warning Level = "warning" // works, but not as it should, or not for long
	Error   Level = "error"   // does not work
)

// Finding is one thing that a check found. The JSON names are a contract with
// the tools that read them.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Found names the thing and its value.
	Found string `json:"found"`
	// Why says what follows from it, where that is not obvious.
	Why string `json:"why,omitempty"`
	// Fix is a command or an edit.
	Fix string `json:"fix,omitempty"`
	// Fixable tells that Repair does it.
	Fixable bool `json:"fixable"`

	repair func(context.Context) (done string, err error)
}

func okay(format string, args ...any) Finding  { return finding(OK, format, args) }
func info(format string, args ...any) Finding  { return finding(Info, format, args) }
func warn(format string, args ...any) Finding  { return finding(Warning, format, args) }
func fault(format string, args ...any) Finding { return finding(Error, format, args) }

func finding(level Level, format string, args []any) Finding {
	return Finding{Level: level, Found: fmt.Sprintf(format, args...)}
}

// because adds what follows from it.
func (f Finding) because(why string) Finding {
	f.Why = why
	return f
}

// mend adds what to do about it.
func (f Finding) mend(format string, args ...any) Finding {
	f.Fix = fmt.Sprintf(format, args...)
	return f
}

// by adds what Repair does. It may lose nothing, and leave alone whatever is in
// use.
func (f Finding) by(repair func(context.Context) (done string, err error)) Finding {
	f.Fixable, f.repair = true, repair
	return f
}

// check is one row of a table of checks, which look at an M.
type check[M any] struct {
	name string
	// look returns what it finds; an error means that it could not look.
	look func(context.Context, M) ([]Finding, error)
}

// examine runs the checks one after the other.
func examine[M any](ctx context.Context, m M, checks []check[M]) []Finding {
	var all []Finding
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		found, err := look(ctx, m, c)
		if err != nil {
			found = append(found, unknown(err))
		}
		for _, f := range found {
			f.Check = c.name
			all = append(all, f)
		}
	}
	return all
}

// lookLimit bounds one check, for a server may answer once and then no more.
const lookLimit = 30 * time.Second

func look[M any](ctx context.Context, m M, c check[M]) ([]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	return c.look(ctx, m)
}

// unknown is the finding that there is no way to know.
func unknown(err error) Finding {
	return warn("it cannot be told: %v", err).mend("mend what it names, and examine again: dapr doctor")
}

// Summary counts findings by level.
type Summary struct {
	OK       int `json:"ok"`
	Infos    int `json:"infos"`
	Warnings int `json:"warnings"`
	Errors   int `json:"errors"`
	// Fixable are those that Repair mends.
	Fixable int `json:"fixable"`
}

// Summarize counts the findings.
func Summarize(findings []Finding) Summary {
	var s Summary
	for _, f := range findings {
		switch f.Level {
		case OK:
			s.OK++
		case Info:
			s.Infos++
		case Warning:
			s.Warnings++
		default:
			s.Errors++
		}
		if f.Fixable {
			s.Fixable++
		}
	}
	return s
}

// Repaired is what became of a finding that could be mended.
type Repaired struct {
	Check string `json:"check"`
	// Done says what was done, Error what was in the way.
	Done  string `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// Repair mends what can be mended without losing anything, in the order of the
// findings. It goes on after a failure.
func Repair(ctx context.Context, findings []Finding) []Repaired {
	var all []Repaired
	for _, f := range findings {
		if f.repair == nil {
			continue
		}
		done, err := f.repair(ctx)
		r := Repaired{Check: f.Check, Done: done}
		if err != nil {
			r.Error = err.Error()
		}
		all = append(all, r)
		if errors.Is(err, context.Canceled) {
			break
		}
	}
	return all
}

// few lists some of many names.
func few(names []string) string {
	const most = 5
	names = slices.Clone(names)
	slices.SortFunc(names, cmp.Compare[string])
	text := ""
	for i, name := range names {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(names)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

// count is "1 file" or "2 files".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
