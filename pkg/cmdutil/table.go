package cmdutil

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table is what a command lists. Every row has one cell a header.
type Table struct {
	Headers []string
	Rows    [][]string
}

// Write prints the table left-aligned without borders. Headers are upper-cased,
// with "_" turned into a space; a column that is blank in every row is left
// out, and line breaks inside a cell become spaces.
func (t Table) Write(w io.Writer) error {
	var columns [][]string // each begins with its header
	for c, header := range t.Headers {
		column := []string{strings.ToUpper(strings.ReplaceAll(header, "_", " "))}
		for _, row := range t.Rows {
			column = append(column, strings.Join(strings.Fields(row[c]), " "))
		}
		if len(t.Rows) == 0 || slices.ContainsFunc(column[1:], func(s string) bool { return s != "" }) {
			columns = append(columns, column)
		}
	}
	for r := range len(t.Rows) + 1 {
		var line strings.Builder
		for _, column := range columns {
			width := 0
			for _, cell := range column {
				width = max(width, utf8.RuneCountInString(cell))
			}
			cell := column[r]
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(cell)+2))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
