package resource

import (
	"strconv"
	"strings"
)

// Error is one mistake in a resource file. Its text never holds a metadata
// value: that could be a secret.
type Error struct {
	// File is the path as it was given.
	File string
	// Line counts from 1; 0 when the mistake is the file's as a whole.
	Line int
	// Field is the path of the field, such as "spec.metadata[2].name"; empty
	// when the mistake is the document's as a whole.
	Field string
	// Message says what is wrong and what would be right.
	Message string
}

// Error is "file:line: field: message".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}
