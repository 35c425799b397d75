package helm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"
)

// Values are what a chart is rendered with, as a tree of YAML.
type Values map[string]any

// Set sets what an expression such as "global.ha.enabled=true" or
// "a.b=1,c={x,y}" says; null takes a value back.
func (v Values) Set(expression string) error {
	if err := strvals.ParseInto(expression, v); err != nil {
		return fmt.Errorf("%q is not name=value: %w", expression, err)
	}
	return nil
}

// Put sets the value at a path such as "global", "ha", "enabled".
func (v Values) Put(value any, path ...string) {
	tree := map[string]any(v)
	for _, name := range path[:len(path)-1] {
		next, ok := tree[name].(map[string]any)
		if !ok {
			next = make(map[string]any)
			tree[name] = next
		}
		tree = next
	}
	tree[path[len(path)-1]] = value
}

// Remove takes the value at a path away, if there is one.
func (v Values) Remove(path ...string) {
	last := len(path) - 1
	if parent, _ := v.Lookup(path[:last]...); parent != nil {
		if tree, ok := parent.(map[string]any); ok {
			delete(tree, path[last])
		}
	}
}

// Lookup returns the value at a path, and whether there is one.
func (v Values) Lookup(path ...string) (any, bool) {
	var at any = map[string]any(v)
	for _, name := range path {
		tree, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = tree[name]; !ok {
			return nil, false
		}
	}
	return at, true
}

// Text returns the value at a path when it is one, else "".
func (v Values) Text(path ...string) string {
	value, _ := v.Lookup(path...)
	text, _ := value.(string)
	return text
}

// Clone returns values that can be changed without changing v.
func (v Values) Clone() Values { return Values(v.copy()) }

// copy is deep: Helm writes into what it is given.
func (v Values) copy() map[string]any {
	if v == nil {
		return map[string]any{}
	}
	return copyTree(map[string]any(v)).(map[string]any)
}

func copyTree(value any) any {
	switch value := value.(type) {
	case map[string]any:
		tree := make(map[string]any, len(value))
		for name, item := range value {
			tree[name] = copyTree(item)
		}
		return tree
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = copyTree(item)
		}
		return list
	default:
		return value
	}
}

// ValuesError lists everything that is wrong with values.
type ValuesError struct{ Problems []string }

func (e *ValuesError) Error() string {
	if len(e.Problems) == 1 {
		return "value " + e.Problems[0]
	}
	return "values:\n  " + strings.Join(e.Problems, "\n  ")
}

// names are the keys of a tree, in order.
func names(tree any) []string {
	m, _ := tree.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}
