package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hyperdapr/dapr/pkg/resource"
)

// resourcesPage is relative to the root of the project, and so is the package
// that it is written from.
const (
	resourcesPage   = "docs/resources.md"
	resourcePackage = "pkg/resource"
)

const resourcesIntro = `<!-- Written by "make docs" from the types of pkg/resource: change their comments. -->

# Resources

Every field of every YAML kind. Kubernetes keeps them as custom resources; on one machine they are files in a folder,
several to a file if you like, with a line ` + "`---`" + ` between them.

- All are read strictly: an unknown field, a wrong type or a value that is none of those allowed is an error with file,
  line and field.
- ` + "`[]`" + ` is each item of a list, ` + "`NAME`" + ` a name that you choose.
- A duration is written as in ` + "`1m30s`" + `.
- *No effect yet* is read and checked, but what it asks for is not built. A sidecar warns of kinds and sections that are.
`

// noEffect are the kinds, and the fields with all below them, that are read and
// not used in this release. A test of the sidecar's own warnings holds the kinds
// and the sections to what it really does.
var noEffect = []string{
	"MCPServer", "Resiliency", "Subscription", "WorkflowAccessPolicy",
	"Configuration.spec.httpPipeline", "Configuration.spec.appHttpPipeline", "Configuration.spec.tracing",
	"Configuration.spec.metrics.rules", "Configuration.spec.metrics.workflow",
	"Configuration.spec.accessControl.trustDomain", "Configuration.spec.wasm", "Configuration.spec.workflow",
}

// controlPlaneOnly is read by the control plane, in the Configuration that is
// its own.
const controlPlaneOnly = "Configuration.spec.mtls"

// secondName is a section that has the fields of another one.
const secondName = "Configuration.spec.metric"

// resources is the whole page.
func resources(root fs.FS) ([]byte, error) {
	types, err := readTypes(root, resourcePackage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(resourcesIntro)
	b.WriteString("\n## Every kind\n\n")
	w := fieldWriter{types: types, b: &b}
	w.table("", "Header", "", reflect.Value{})
	for _, kind := range []string{
		resource.KindComponent, resource.KindConfiguration, resource.KindHTTPEndpoint, resource.KindResiliency,
		resource.KindSubscription, resource.KindMCPServer, resource.KindWorkflowAccessPolicy,
	} {
		t, ok := types[kind]
		if !ok {
			return nil, fmt.Errorf("%s: there is no type %s", resourcePackage, kind)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", kind, t.about(kind))
		if slices.Contains(noEffect, kind) {
			b.WriteString("*No effect yet.*\n\n")
		}
		var defaults reflect.Value
		if kind == resource.KindConfiguration {
			defaults = reflect.ValueOf(*resource.NewConfiguration())
		}
		w.table(kind, kind, "", defaults)
	}
	return b.Bytes(), errors.Join(w.errs...)
}

// structType is a struct of the package, with its comment.
type structType struct {
	doc    string
	fields []*ast.Field
}

// readTypes parses a package's structs.
func readTypes(root fs.FS, dir string) (map[string]structType, error) {
	files, err := fs.Glob(root, dir+"/*.go")
	if err != nil {
		return nil, err
	}
	fset, types := token.NewFileSet(), make(map[string]structType)
	for _, name := range files {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			for _, spec := range gen.Specs {
				s := spec.(*ast.TypeSpec)
				if t, ok := s.Type.(*ast.StructType); ok {
					types[s.Name.Name] = structType{doc: gen.Doc.Text(), fields: t.Fields.List}
				}
			}
		}
	}
	return types, nil
}

// about is the comment's first sentence without the type's name.
func (t structType) about(name string) string {
	text := strings.TrimPrefix(new(doc.Package).Synopsis(t.doc), name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	return sentence(text)
}

// fieldWriter writes the rows of tables.
type fieldWriter struct {
	types map[string]structType
	b     *bytes.Buffer
	errs  []error
}

func (w *fieldWriter) table(kind, typ, path string, defaults reflect.Value) {
	w.b.WriteString("| field | type | default | meaning |\n|---|---|---|---|\n")
	w.fields(kind, typ, path, defaults)
}

// fields writes the rows of one struct. defaults is a value of it that holds its
// defaults, or invalid.
func (w *fieldWriter) fields(kind, typ, path string, defaults reflect.Value) {
	t := w.types[typ]
	for _, f := range t.fields {
		if len(f.Names) == 0 { // embedded: its fields are those of this struct
			if name := typeName(f.Type); name != "Header" {
				w.fields(kind, name, path, fieldOf(defaults, name))
			}
			continue
		}
		goName, jsonName := f.Names[0].Name, jsonNameOf(f)
		if jsonName == "" || jsonName == "-" || !ast.IsExported(goName) {
			continue
		}
		w.row(kind, typ, join(path, jsonName), f, fieldOf(defaults, goName))
	}
}

func (w *fieldWriter) row(kind, owner, path string, f *ast.Field, defaults reflect.Value) {
	shape, elem, suffix := shapeOf(f.Type)
	sub, nested := w.types[elem]
	text, byDefault := w.meaning(owner, f)
	if text == "" && nested {
		text = sub.about(elem)
	}
	if path == "spec" && nested { // every kind has one: its fields say more
		w.fields(kind, elem, path, defaults)
		return
	}
	if text == "" {
		w.errs = append(w.errs, fmt.Errorf("%s: %s.%s has no comment: say what it means", resourcePackage, owner, f.Names[0].Name))
	}
	switch {
	case slices.Contains(noEffect, kind+"."+path):
		text = "*No effect yet.* " + text
	case kind+"."+path == controlPlaneOnly:
		text += " Only in the control plane's own Configuration."
	}
	if v := show(defaults); v != "" {
		byDefault = v
	}
	fmt.Fprintf(w.b, "| `%s` | %s | %s | %s |\n", path, shape, escape(byDefault), escape(text))
	if nested && kind+"."+path != secondName {
		w.fields(kind, elem, path+suffix, defaults)
	}
}

var (
	// whenNone is how a comment tells the default.
	whenNone = regexp.MustCompile(`; (?:nil|empty|0) means (?:the default of )?([^.;]+)|; ([^.;]+) (?:when (?:empty|nil|0)|unless it is set)\b`)
	// forGophers is what only a reader of the code can use.
	forGophers = regexp.MustCompile(`; (?:see|read both with) Configuration\.\w+`)
)

// meaning is a field's comment for a reader who knows the document and not the
// Go type, and the default if the comment has one.
func (w *fieldWriter) meaning(owner string, f *ast.Field) (text, byDefault string) {
	text = strings.Join(strings.Fields(f.Doc.Text()), " ")
	if m := whenNone.FindStringSubmatch(text); m != nil {
		byDefault = strings.Trim(cmp.Or(m[1], m[2]), `"`)
		text = strings.Replace(text, m[0], "", 1)
	}
	text = forGophers.ReplaceAllString(text, "")
	for _, other := range w.types[owner].fields {
		for _, name := range other.Names {
			if jsonName := jsonNameOf(other); jsonName != "" {
				text = regexp.MustCompile(`\b`+name.Name+`\b`).ReplaceAllString(text, "`"+jsonName+"`")
			}
		}
	}
	// The name stands in the row already.
	own := "`" + jsonNameOf(f) + "` "
	if rest, ok := strings.CutPrefix(text, own); ok && strings.Count(text, own) == 1 {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "is "), "are ")
		text = rest
	}
	return sentence(text), byDefault
}

// words are those that a document may have: they keep their case.
var words = regexp.MustCompile("^(`|\\w+(, \\w+)* or )")

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if !words.MatchString(text) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".") + "."
}

// shapeOf is a type in the words of a document, the type within it, and what the
// path of that has in addition.
func shapeOf(t ast.Expr) (shape, elem, suffix string) {
	switch t := t.(type) {
	case *ast.StarExpr:
		return shapeOf(t.X)
	case *ast.ArrayType:
		shape, elem, suffix = shapeOf(t.Elt)
		return "list of " + plural(shape), elem, "[]" + suffix
	case *ast.MapType:
		shape, elem, suffix = shapeOf(t.Value)
		return plural(shape) + " by name", elem, ".NAME" + suffix
	}
	name := typeName(t)
	scalars := map[string]string{"string": "text", "int": "number", "bool": "true or false", "Duration": "duration", "Value": "any", "any": "any"}
	if word, ok := scalars[name]; ok {
		return word, "", ""
	}
	return "section", name, ""
}

func plural(shape string) string {
	if shape == "any" || strings.HasPrefix(shape, "list of") || strings.HasSuffix(shape, "by name") {
		return shape
	}
	return shape + "s"
}

func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

func jsonNameOf(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name
}

func fieldOf(v reflect.Value, name string) reflect.Value {
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// show is a default that is not empty, such as a duration or true.
func show(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() || v.Kind() == reflect.Struct {
		return ""
	}
	if d, ok := v.Interface().(resource.Duration); ok {
		text, _ := d.MarshalText() // it has no way to fail
		return strings.TrimSuffix(strings.TrimSuffix(string(text), "0s"), "0m")
	}
	return fmt.Sprint(v.Interface())
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
