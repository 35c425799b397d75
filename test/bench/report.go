package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// write prints the report as aligned Markdown tables.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d CPUs, %s, %s %s; %s a row\n\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, r.duration)
	rows := [][]string{{"", "", "connections", "requests/s", "p50", "p99", "CPU µs/request", "× baseline", "goal"}}
	last := ""
	for _, m := range r.rows {
		line := []string{"", m.title, strconv.Itoa(m.connections), fmt.Sprintf("%.0f", m.load.perSecond()),
			micros(m.load.percentile(50)), micros(m.load.percentile(99)), "", "", ""}
		if m.group != last {
			line[0], last = m.group, m.group
		}
		if m.cpu > 0 {
			line[6] = fmt.Sprintf("%.1f", float64(m.cpu)/float64(time.Microsecond))
		}
		if m.ratio > 0 {
			line[7] = fmt.Sprintf("%.2f", m.ratio)
		}
		if m.goal > 0 {
			line[8] = fmt.Sprintf("≤ %.1f: %s", m.goal, met(m.ratio <= m.goal))
		}
		rows = append(rows, line)
	}
	table(&b, rows)
	b.WriteString("\nCPU is that of the sidecars (of both, where there are two), or of the baseline's servers in their place.\n\n")

	ready := r.ready[len(r.ready)/2]
	rows = [][]string{
		{"sidecar", "", "goal"},
		{"time to ready", fmt.Sprintf("%.1f ms (median of %d; %.1f to %.1f)", millis(ready), len(r.ready), millis(r.ready[0]), millis(r.ready[len(r.ready)-1])),
			fmt.Sprintf("≤ %.0f ms: %s", millis(readyGoal), met(ready <= readyGoal))},
		{"memory, idle", r.idle.String(), fmt.Sprintf("≤ %d MiB: %s", idleGoal>>20, met(r.idle.resident <= idleGoal))},
	}
	for _, m := range r.afterLoad {
		rows = append(rows, []string{"memory after load, " + m.name, m.String(), ""})
	}
	table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

func (m memory) String() string {
	return fmt.Sprintf("%.1f MiB resident, %.1f of it not shared with a file", mebi(m.resident), mebi(m.anonymous))
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

func mebi(bytes int64) float64       { return float64(bytes) / (1 << 20) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func micros(d time.Duration) string  { return fmt.Sprintf("%d µs", d.Microseconds()) }
func pad(s string, width int) string { return s + strings.Repeat(" ", width-utf8.RuneCountInString(s)) }
func rule(width int) string          { return strings.Repeat("-", width) }
func cells(line []string) string     { return "| " + strings.Join(line, " | ") + " |\n" }

// table writes rows as a Markdown table; the first row is the header.
func table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, line := range rows {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range rows {
		padded, rules := make([]string, len(line)), make([]string, len(line))
		for i, cell := range line {
			padded[i], rules[i] = pad(cell, widths[i]), rule(widths[i])
		}
		b.WriteString(cells(padded))
		if n == 0 {
			b.WriteString(cells(rules))
		}
	}
}
