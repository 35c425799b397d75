// Package manifest reads Kubernetes manifests and changes the pods in them.
// What nobody changes is written as it was read, to the byte; in a document that
// is changed, comments and the order of the keys stay.
package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Document is one of the documents of a manifest.
type Document struct {
	// Source tells where the document was read, such as "node.yaml, document 2".
	Source string

	text    []byte
	tree    *yaml.Node // nil until something is changed
	objects []*Object
}

// separator is the line between two documents, with what may follow it there.
var separator = regexp.MustCompile(`(?m)^---(?:[ \t]+(.*))?\r?$\n?`)

// Parse reads the documents of a manifest: YAML, or JSON. source is for errors.
func Parse(source string, text []byte) ([]*Document, error) {
	var docs []*Document
	for i, part := range split(text) {
		d := &Document{Source: source, text: part}
		if i > 0 {
			d.Source = fmt.Sprintf("%s, document %d", source, i+1)
		}
		if err := d.parse(); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// split cuts at the separators and leaves out blank documents.
func split(text []byte) [][]byte {
	var parts [][]byte
	start := 0
	head := ""
	end := func(at int) {
		part := text[start:at]
		if head != "" {
			part = append([]byte(head+"\n"), part...)
		}
		if len(bytes.TrimSpace(part)) > 0 {
			parts = append(parts, part)
		}
	}
	for _, m := range separator.FindAllSubmatchIndex(text, -1) {
		end(m[0])
		start, head = m[1], ""
		if m[2] >= 0 {
			head = strings.TrimSpace(string(text[m[2]:m[3]]))
		}
	}
	end(len(text))
	return parts
}

func (d *Document) parse() error {
	text, err := sigsyaml.YAMLToJSON(d.text)
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	d.find(value, nil)
	return nil
}

// find collects the objects of a value: itself, or the items of a list.
func (d *Document) find(value any, path []string) {
	m, ok := value.(map[string]any)
	if !ok {
		return
	}
	o := &Object{doc: d, path: path, value: m}
	items, isList := m["items"].([]any)
	if isList && strings.HasSuffix(o.Kind(), "List") {
		for i, item := range items {
			d.find(item, append(path[:len(path):len(path)], "items", strconv.Itoa(i)))
		}
		return
	}
	d.objects = append(d.objects, o)
}

// Objects are the Kubernetes objects of the document.
func (d *Document) Objects() []*Object { return d.objects }

// change returns the document's tree, which is written from now on.
func (d *Document) change() (*yaml.Node, error) {
	if d.tree == nil {
		var root yaml.Node
		if err := yaml.Unmarshal(d.text, &root); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		d.tree = &root
	}
	return d.tree.Content[0], nil
}

// Text is the document as it is now, without a separator.
func (d *Document) Text() ([]byte, error) {
	text := d.text
	if d.tree != nil {
		var b bytes.Buffer
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if isCompact(d.text) {
			enc.CompactSeqIndent()
		}
		if err := enc.Encode(d.tree); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		text = b.Bytes()
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text[:len(text):len(text)], '\n')
	}
	return text, nil
}

// isCompact tells whether the lists of a text stand below the first letter of
// their key, as kubectl writes them. The first list decides.
func isCompact(text []byte) bool {
	column := -1 // of the key before
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, " \r\n")
		at := len(line) - len(strings.TrimLeft(line, " "))
		isItem := strings.HasPrefix(line[at:], "- ")
		switch {
		case line == "" || line[at] == '#':
			continue
		case isItem && column >= 0:
			return at == column
		}
		column = -1
		if key, _, _ := strings.Cut(line, " #"); strings.HasSuffix(strings.TrimRight(key, " "), ":") {
			column = len(line) - len(strings.TrimLeft(line, " -"))
		}
	}
	return true
}

// Join writes documents one after the other.
func Join(docs []*Document) ([]byte, error) {
	var b bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := d.Text()
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}
