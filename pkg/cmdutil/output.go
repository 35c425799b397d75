package cmdutil

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/yaml"
)

// WriteJSON prints v with an indent of two spaces and no line break at the end.
func WriteJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode as JSON: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// WriteYAML prints v under its JSON names.
func WriteYAML(w io.Writer, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode as YAML: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// CreatedFormat is how a table shows when something was created.
const CreatedFormat = "2006-01-02 15:04.05"

// Age is d in the largest unit it fills more than once: seconds, minutes, hours
// or days.
func Age(d time.Duration) string {
	switch {
	case d <= time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d <= time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d <= 24*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
