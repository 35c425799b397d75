package resource

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// decoder fills one document's Go value and collects every mistake. yaml.v3's
// own strict mode stops short of that: it knows neither the path of a field nor
// the name that was meant.
type decoder struct {
	source Source
	root   reflect.Type
	// lines is where each field that was seen stands.
	lines map[string]int
	errs  []*Error
	// unknown is set when some field was unknown: what is missing then is most
	// likely there, misspelt.
	unknown bool
}

// decode fills r, a pointer to a kind, from the document's node.
func decode(file string, n *yaml.Node, r Resource) []*Error {
	v := reflect.ValueOf(r).Elem()
	d := &decoder{source: Source{File: file, Line: n.Line}, root: v.Type(), lines: make(map[string]int)}
	// This pass refuses what would hurt the walk below: aliases that contain
	// themselves or multiply, and keys that are there twice.
	var tree any
	if err := n.Decode(&tree); err != nil {
		return yamlErrors(file, err)
	}
	d.value(n, v, "")
	r.Head().Source = d.source
	d.require("metadata.name", r.Head().Name() != "")
	r.validate(d)
	slices.SortStableFunc(d.errs, func(a, b *Error) int { return a.Line - b.Line })
	return d.errs
}

// problem reports a mistake in a field.
func (d *decoder) problem(field, format string, args ...any) {
	for _, e := range d.errs {
		if e.Field == field || strings.HasPrefix(field, e.Field+".") || strings.HasPrefix(field, e.Field+"[") {
			return // the first mistake is the cause of this one
		}
	}
	d.fail(d.lineOf(field), field, format, args...)
}

// require reports a field that has to be there.
func (d *decoder) require(field string, present bool) {
	if !present && !d.unknown {
		d.problem(field, "missing")
	}
}

// oneOf reports a field that has none of the values it may have, whatever their
// case. An empty one is fine.
func (d *decoder) oneOf(field, value string, allowed ...string) {
	same := func(a string) bool { return strings.EqualFold(a, value) }
	if value == "" || slices.ContainsFunc(allowed, same) {
		return
	}
	d.problem(field, "%q is not one of %s%s", value, strings.Join(allowed, ", "), didYouMean(value, allowed))
}

func (d *decoder) fail(line int, field, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.source.File, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

// lineOf is the line of the field, or of the nearest parent that is there.
func (d *decoder) lineOf(field string) int {
	for field != "" {
		if line, ok := d.lines[field]; ok {
			return line
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return d.source.Line
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	n = target(n)
	if n.ShortTag() == "!!null" {
		return
	}
	if u, ok := v.Addr().Interface().(yaml.Unmarshaler); ok {
		if err := u.UnmarshalYAML(n); err != nil {
			d.fail(n.Line, path, "%s", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.sequence(n, v, path)
	case reflect.Interface:
		d.scalar(n, v, path)
	case reflect.String:
		if d.want(n, path, "a string", "!!str") {
			v.SetString(n.Value)
		}
	case reflect.Bool:
		d.boolean(n, v, path)
	case reflect.Int:
		if d.want(n, path, "a whole number", "!!int") {
			d.scalar(n, v, path)
		}
	default:
		panic("resource: no decoding for " + v.Type().String())
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if !d.want(n, path, "a mapping", "!!map") {
		return
	}
	fields := fieldsOf(v.Type())
	for _, p := range pairs(n) {
		name, field := p.key.Value, join(path, p.key.Value)
		index, ok := fields[name]
		switch {
		case ok:
			d.lines[field] = p.key.Line
			d.value(p.value, v.FieldByIndex(index), field)
		case ignores(v, name):
		default:
			d.unknown = true
			d.fail(p.key.Line, field, "unknown field%s", d.suggest(name, fields))
		}
	}
}

// suggest names the field that was meant: one of the same mapping, or one of
// the document's top that slipped into it.
func (d *decoder) suggest(name string, fields map[string][]int) string {
	if s := didYouMean(name, slices.Sorted(maps.Keys(fields))); s != "" {
		return s
	}
	if _, top := fieldsOf(d.root)[name]; top {
		return fmt.Sprintf("; did you mean the top-level %s, beside spec?", name)
	}
	return ""
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if !d.want(n, path, "a mapping", "!!map") {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, p := range pairs(n) {
		field := join(path, p.key.Value)
		d.lines[field] = p.key.Line
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, elem, field)
		v.SetMapIndex(reflect.ValueOf(p.key.Value), elem)
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, path string) {
	if !d.want(n, path, "a list", "!!seq") {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		field := fmt.Sprintf("%s[%d]", path, i)
		d.lines[field] = item.Line
		d.value(item, list.Index(i), field)
	}
	v.Set(list)
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, path string) {
	// yes, no, on and off are words to a YAML 1.2 reader and truth values to a
	// 1.1 one, which is what kubectl is.
	if n.ShortTag() == "!!str" && n.Style == 0 && n.Decode(v.Addr().Interface()) == nil {
		return
	}
	if d.want(n, path, "true or false", "!!bool") {
		d.scalar(n, v, path)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if err := n.Decode(v.Addr().Interface()); err != nil {
		for _, e := range yamlErrors(d.source.File, err) {
			d.fail(n.Line, path, "%s", e.Message)
		}
	}
}

// want reports a node of another YAML type than tag.
func (d *decoder) want(n *yaml.Node, path, what, tag string) bool {
	got := n.ShortTag()
	if got == tag {
		return true
	}
	names := map[string]string{
		"!!map": "a mapping", "!!seq": "a list", "!!str": "a string", "!!bool": "a truth value",
		"!!int": "a number", "!!float": "a number", "!!timestamp": "a date",
	}
	name, ok := names[got]
	if !ok {
		name = got
	}
	hint := ""
	switch {
	case tag == "!!str" && n.Kind == yaml.ScalarNode:
		hint = "; put it in quotes"
	case got == "!!str" && n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		hint = "; remove the quotes"
	}
	d.fail(n.Line, path, "want %s, got %s%s", what, name, hint)
	return false
}

type pair struct{ key, value *yaml.Node }

// pairs are a mapping's keys and values, those of merge keys (<<) included.
func pairs(n *yaml.Node) []pair {
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := target(n.Content[i]), n.Content[i+1]
		if key.ShortTag() != "!!merge" {
			own = append(own, pair{key, value})
			continue
		}
		sources := []*yaml.Node{value}
		if value = target(value); value.Kind == yaml.SequenceNode {
			sources = value.Content
		}
		for _, s := range sources {
			merged = append(merged, pairs(target(s))...)
		}
	}
	for _, m := range merged {
		if !slices.ContainsFunc(own, func(p pair) bool { return p.key.Value == m.key.Value }) {
			own = append(own, m)
		}
	}
	return own
}

// target is the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// fieldsOf maps the names in a document to the fields of a struct.
func fieldsOf(t reflect.Type) map[string][]int {
	fields := make(map[string][]int)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Index
		}
	}
	return fields
}

// ignores tells whether the struct knows the field and has no use for it.
func ignores(v reflect.Value, name string) bool {
	i, ok := v.Interface().(interface{ ignoredFields() []string })
	return ok && slices.Contains(i.ignoredFields(), name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// didYouMean is "; did you mean x?", or nothing when no name is near.
func didYouMean(name string, names []string) string {
	if n := nearest.Name(name, names); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}
