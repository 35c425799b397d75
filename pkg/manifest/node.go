package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// add is the operation of JSON Patch on a tree of YAML: it sets a key of a
// mapping, or appends to a list with "-". Mappings that are missing on the way
// are made.
func add(node *yaml.Node, path []string, value any) error {
	for i, segment := range path {
		own(node)
		last := i == len(path)-1
		switch {
		case node.Kind == yaml.SequenceNode && segment == "-" && last:
			v, err := encode(value)
			node.Style &^= yaml.FlowStyle
			node.Content = append(node.Content, v)
			return err
		case node.Kind == yaml.SequenceNode:
			n, err := strconv.Atoi(segment)
			if err != nil || n < 0 || n >= len(node.Content) {
				return fmt.Errorf("the list %s has no element %s", strings.Join(path[:i], "."), segment)
			}
			node = node.Content[n]
		case isNull(node), node.Kind == yaml.MappingNode:
			if node.Kind != yaml.MappingNode {
				*node = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", HeadComment: node.HeadComment, LineComment: node.LineComment, FootComment: node.FootComment}
			}
			child := find(node, segment)
			if last {
				v, err := encode(value)
				v.LineComment = child.LineComment
				*child = *v
				// A block does not stand in one line.
				if v.Kind != yaml.ScalarNode {
					node.Style &^= yaml.FlowStyle
				}
				return err
			}
			node = child
		default:
			return fmt.Errorf("%s is no mapping", strings.Join(path[:i], "."))
		}
	}
	return nil
}

// own makes what an alias or a merge key stands for the node's own: a change must
// neither show where else it is used nor hide what is merged.
func own(node *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		*node = *clone(node.Alias)
	}
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Tag != "!!merge" {
			continue
		}
		merged := node.Content[i+1]
		node.Content = slices.Delete(node.Content, i, i+2)
		own(merged)
		sources := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			sources = merged.Content
		}
		for _, source := range sources {
			merge(node, source)
		}
		i -= 2
	}
}

// merge adds the keys that node lacks.
func merge(node, source *yaml.Node) {
	own(source)
	for i := 0; i+1 < len(source.Content); i += 2 {
		if !has(node, source.Content[i].Value) {
			node.Content = append(node.Content, clone(source.Content[i]), clone(source.Content[i+1]))
		}
	}
}

func has(mapping *yaml.Node, key string) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return true
		}
	}
	return false
}

func clone(node *yaml.Node) *yaml.Node {
	c := *node
	c.Anchor = ""
	c.Content = slices.Clone(node.Content)
	for i, child := range c.Content {
		c.Content[i] = clone(child)
	}
	return &c
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// find returns the value of a key, which is null when it was missing.
func find(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	return value
}

// encode makes a tree out of what the value is as JSON, in its order.
func encode(value any) (*yaml.Node, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return &yaml.Node{}, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return &yaml.Node{}, err
	}
	plain(root.Content[0])
	return root.Content[0], nil
}

// plain takes the style of JSON off a tree. Texts are encoded anew: that quotes
// what older readers, such as Kubernetes' own, would take for something else.
func plain(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
		_ = node.Encode(node.Value) // a string always can be
	}
	for _, child := range node.Content {
		plain(child)
	}
}
