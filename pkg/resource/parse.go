package resource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// Parse reads all documents of the group dapr.io in data and ignores those of
// other groups; file is the name that errors use. It returns the documents
// without mistakes, and the mistakes of the others as joined *Error values.
func Parse(file string, data []byte) ([]Resource, error) {
	var good []Resource
	var errs []error
	for _, doc := range parse(file, data) {
		if len(doc.errs) == 0 {
			good = append(good, doc.resource)
		}
		for _, err := range doc.errs {
			errs = append(errs, err)
		}
	}
	return good, errors.Join(errs...)
}

// document is a document of the group dapr.io. With errors, resource holds what
// could be decoded, and is nil when the kind is not known.
type document struct {
	resource Resource
	errs     []*Error
	node     *yaml.Node
}

func parse(file string, data []byte) []document {
	var docs []document
	for _, text := range split(data) {
		dec := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var n yaml.Node
			err := dec.Decode(&n)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				docs = append(docs, document{errs: yamlErrors(file, err)})
				break
			}
			if doc, ours := read(file, n.Content[0]); ours {
				docs = append(docs, doc)
			}
		}
	}
	return docs
}

// split cuts a YAML stream at its "---" lines, so that a syntax error in one
// document does not hide the next one. Every part starts with as many empty
// lines as stand before it: its line numbers are the file's.
func split(data []byte) [][]byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var parts [][]byte
	start, startLine, pos, line := 0, 0, 0, 0
	cut := func() {
		if text := data[start:pos]; !isBlank(text) {
			parts = append(parts, append(bytes.Repeat([]byte("\n"), startLine), text...))
		}
		start, startLine = pos, line
	}
	for text := range bytes.Lines(data) {
		if marker, ok := bytes.CutPrefix(text, []byte("---")); ok && (len(marker) == 0 || strings.ContainsRune(" \t\r\n", rune(marker[0]))) {
			cut()
		}
		pos += len(text)
		line++
	}
	cut()
	return parts
}

// isBlank tells whether the text holds no document: only comments, markers and
// directives.
func isBlank(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' && !bytes.Equal(line, []byte("---")) && !bytes.Equal(line, []byte("...")) {
			return false
		}
	}
	return true
}

// read decodes a document, if it is one of ours.
func read(file string, n *yaml.Node) (document, bool) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return document{}, false
	}
	apiVersion, kind := entry(n, "apiVersion"), entry(n, "kind")
	group, version, _ := strings.Cut(apiVersion.value, "/")
	versions, known := kinds[kind.value]
	if group != Group && !(known && nearest.Name(group, []string{Group}) != "") && !(known && group == "") {
		return document{}, false
	}

	fail := func(e fieldEntry, format string, args ...any) (document, bool) {
		err := &Error{File: file, Line: e.line, Field: e.name, Message: fmt.Sprintf(format, args...)}
		return document{errs: []*Error{err}, node: n}, true
	}
	wanted := func(prefix string) string {
		return prefix + strings.Join(slices.Sorted(maps.Keys(versions)), " or "+prefix)
	}
	switch {
	case group == "":
		return fail(apiVersion, "missing; a %s has %s", kind.value, wanted(Group+"/"))
	case group != Group:
		return fail(apiVersion, "unknown group %q; did you mean %s?", group, wanted(Group+"/"))
	case kind.value == "":
		return fail(kind, "missing; one of %s", strings.Join(kindNames(), ", "))
	case !known:
		return fail(kind, "unknown kind %q%s", kind.value, didYouMean(kind.value, kindNames()))
	case versions[version] == nil:
		return fail(apiVersion, "unknown version %q of %s; want %s", version, kind.value, wanted(Group+"/"))
	}

	r := versions[version]()
	errs := decode(file, n, r)
	if old, ok := r.(*subscriptionV1); ok {
		r = old.current()
	}
	return document{resource: r, errs: errs, node: n}, true
}

type fieldEntry struct {
	name, value string
	line        int
}

// entry finds a top-level string field; its line is the mapping's when it is
// not there.
func entry(n *yaml.Node, name string) fieldEntry {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return fieldEntry{name, target(n.Content[i+1]).Value, n.Content[i].Line}
		}
	}
	return fieldEntry{name: name, line: n.Line}
}

func kindNames() []string { return slices.Sorted(maps.Keys(kinds)) }

// yamlErrors takes apart an error of the YAML library.
func yamlErrors(file string, err error) []*Error {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		e := yamlError(file, err.Error())
		// The library counts some lines from where the broken construct begins.
		e.Message = "invalid YAML, here or just below: " + e.Message
		return []*Error{e}
	}
	var errs []*Error
	for _, text := range te.Errors {
		errs = append(errs, yamlError(file, text))
	}
	return errs
}

// yamlError reads "line 3: message".
func yamlError(file, text string) *Error {
	text = strings.TrimPrefix(text, "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return &Error{File: file, Line: line, Message: message}
			}
		}
	}
	return &Error{File: file, Message: text}
}
