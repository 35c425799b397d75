package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/hyperdapr/dapr/pkg/nearest"
)

// schema is a JSON schema, compiled and as a tree. The zero value takes
// everything.
type schema struct {
	compiled *jsonschema.Schema
	tree     any
}

func compile(text []byte) (schema, error) {
	if len(text) == 0 {
		return schema{}, nil
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return schema{}, err
	}
	const name = "values.schema.json"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, tree); err != nil {
		return schema{}, err
	}
	compiled, err := compiler.Compile(name)
	return schema{compiled, tree}, err
}

// validate checks values, the chart's own among them, against its schema. The
// error is a *ValuesError: Helm's own would say the same less plainly.
func (c *Chart) validate(all Values) error {
	if c.schema.compiled == nil {
		return nil
	}
	instance, err := asJSON(all)
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	invalid, ok := c.schema.compiled.Validate(instance).(*jsonschema.ValidationError) //nolint:errorlint // it is documented to be that, unwrapped
	if !ok {
		return nil
	}
	problems := c.problems(invalid)
	slices.Sort(problems)
	return &ValuesError{Problems: slices.Compact(problems)}
}

// asJSON turns values into the types that the schema's checker knows.
func asJSON(v Values) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// problems says every mistake in a sentence that begins with the value's name.
func (c *Chart) problems(e *jsonschema.ValidationError) []string {
	at := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		var problems []string
		for _, name := range k.Properties {
			problems = append(problems, c.unknown(e.InstanceLocation, name))
		}
		return problems
	case *kind.Pattern:
		return []string{fmt.Sprintf("%s: %q does not look right%s", at, k.Got, c.wanted(e.SchemaURL))}
	case *kind.AnyOf:
		return []string{at + ": has the wrong form" + c.wanted(e.SchemaURL)}
	case *kind.Type:
		return []string{fmt.Sprintf("%s: must be of type %s, not %s", at, strings.Join(k.Want, " or "), k.Got)}
	}
	if len(e.Causes) == 0 {
		return []string{at + ": " + e.ErrorKind.LocalizedString(message.NewPrinter(language.English))}
	}
	var problems []string
	for _, cause := range e.Causes {
		problems = append(problems, c.problems(cause)...)
	}
	return problems
}

// unknown says which of the chart's values was probably meant.
func (c *Chart) unknown(path []string, name string) string {
	at := strings.Join(append(slices.Clone(path), name), ".")
	known, _ := c.defaults.Lookup(path...)
	if near := nearest.Name(name, names(known)); near != "" && near != name {
		return fmt.Sprintf("%s: there is no such value; did you mean %q?", at, near)
	}
	return at + ": there is no such value"
}

// wanted is the description of the part of the schema that an error is about.
func (c *Chart) wanted(url string) string {
	_, pointer, _ := strings.Cut(url, "#")
	at := c.schema.tree
	for name := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		tree, _ := at.(map[string]any)
		at = tree[name]
	}
	tree, _ := at.(map[string]any)
	if text, ok := tree["description"].(string); ok {
		return "; want " + text
	}
	return ""
}
