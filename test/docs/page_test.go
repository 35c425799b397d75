//go:build linux

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is one code block of a page.
type block struct {
	// place is "file:line" of its first line.
	place string
	// language is the first word after the fence; a block that is indented rather
	// than fenced has none.
	language string
	// attributes stand in braces behind the language: file="shop.py".
	attributes map[string]string
	lines      []string
}

// isSession tells whether the block is a session that is typed.
func (b block) isSession() bool { return b.language == "console" && b.attributes["skip"] == "" }

// command is one line of a session after "$ ", with what it prints.
type command struct {
	place, text string
	output      []string
}

var (
	fence     = regexp.MustCompile("^( {0,3})```(\\w*) *(?:{(.*)})?$")
	attribute = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// readPage returns a page's code blocks in order.
func readPage(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var blocks []block
	var fenced, indented *block
	var indent string // of a fence within a list
	end := func(b **block) {
		if *b != nil {
			blocks = append(blocks, **b)
			*b = nil
		}
	}
	for i, line := range strings.Split(string(text), "\n") {
		place := fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
		code, isIndented := strings.CutPrefix(line, "    ")
		switch opening := fence.FindStringSubmatch(line); {
		case fenced != nil && line == indent+"```":
			end(&fenced)
		case fenced != nil:
			fenced.lines = append(fenced.lines, strings.TrimPrefix(line, indent))
		case opening != nil:
			end(&indented)
			indent = opening[1]
			fenced = &block{place: place, language: opening[2], attributes: make(map[string]string)}
			for _, a := range attribute.FindAllStringSubmatch(opening[3], -1) {
				fenced.attributes[a[1]] = a[2]
			}
		case isIndented && indented == nil:
			indented = &block{place: place, lines: []string{code}}
		case isIndented || line == "" && indented != nil:
			indented.lines = append(indented.lines, code)
		default:
			end(&indented)
		}
	}
	require.Nil(t, fenced, "%s: a block does not end", path)
	end(&indented)
	return blocks
}

// commands are those of a session; what stands before the first is nobody's.
func (b *block) commands(t *testing.T) []command {
	t.Helper()
	var all []command
	for i, line := range b.lines {
		text, is := strings.CutPrefix(line, "$ ")
		switch {
		case is:
			all = append(all, command{place: fmt.Sprintf("%s+%d", b.place, i+1), text: text})
		case len(all) == 0:
			require.Empty(t, line, "%s: output without a command", b.place)
		case continues(all[len(all)-1].text):
			all[len(all)-1].text += "\n" + line
		default:
			all[len(all)-1].output = append(all[len(all)-1].output, line)
		}
	}
	for i := range all {
		for out := all[i].output; len(out) > 0 && out[len(out)-1] == ""; out = all[i].output {
			all[i].output = out[:len(out)-1]
		}
	}
	return all
}

// continues tells whether a shell would read on: after a backslash, and within
// quotes.
func continues(text string) bool {
	return strings.HasSuffix(text, `\`) || strings.Count(text, "'")%2 == 1
}

// Ports have another length than the page's, and tables other gaps.
var columnGap, number = regexp.MustCompile(` {2,}`), regexp.MustCompile(`[0-9]+`)

// matcher is the command's output as an expression. An ellipsis alone in a line
// stands for any number of lines. What a page shows of another day is the
// beginning.
func (c *command) matcher(anotherDay bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	for _, line := range c.output {
		if strings.TrimSpace(line) == "…" {
			b.WriteString("(?:[^\n]*\n)*?")
		} else {
			b.WriteString(lineMatcher(line, anotherDay) + "\n")
		}
	}
	if anotherDay && len(c.output) > 0 {
		b.WriteString("(?:[^\n]*\n)*")
	}
	b.WriteString("$")
	return regexp.MustCompile(b.String())
}

// lineMatcher is a line as an expression. An ellipsis stands for anything in it.
// On another day every number will do, and "..." is where a table cuts a text off.
func lineMatcher(line string, anotherDay bool) string {
	if anotherDay {
		line = strings.ReplaceAll(line, "...", "…")
	}
	var parts []string
	for part := range strings.SplitSeq(line, "…") {
		part = columnGap.ReplaceAllString(regexp.QuoteMeta(part), ` +`)
		if anotherDay {
			part = number.ReplaceAllString(part, `[0-9]+`)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, `[^\n]*?`) + ` *`
}
