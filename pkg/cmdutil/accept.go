package cmdutil

import (
	"fmt"

	"github.com/spf13/pflag"
)

// Accepted is a flag that scripts know from elsewhere and that has nothing to
// do here: it is parsed, and the command says so when it is given.
type Accepted struct {
	Name, Shorthand string
	// Default is a string, bool, int or []string.
	Default any
	// Why ends the sentence "… has no effect: ".
	Why string
}

// AcceptFlags defines flags without effect.
func AcceptFlags(flags *pflag.FlagSet, accepted []Accepted) {
	for _, a := range accepted {
		usage := "Accepted without effect: " + a.Why
		switch v := a.Default.(type) {
		case string:
			flags.StringP(a.Name, a.Shorthand, v, usage)
		case bool:
			flags.BoolP(a.Name, a.Shorthand, v, usage)
		case int:
			flags.IntP(a.Name, a.Shorthand, v, usage)
		case []string:
			flags.StringArrayP(a.Name, a.Shorthand, v, usage)
		default:
			panic(fmt.Sprintf("flag %s: no flag has a default of type %T", a.Name, v))
		}
	}
}

// WithoutEffect says a sentence about each of the accepted flags that is given.
func WithoutEffect(flags *pflag.FlagSet, accepted []Accepted) []string {
	var notes []string
	for _, a := range accepted {
		if flags.Changed(a.Name) {
			notes = append(notes, fmt.Sprintf("--%s has no effect: %s", a.Name, a.Why))
		}
	}
	return notes
}
