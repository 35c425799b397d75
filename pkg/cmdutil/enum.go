package cmdutil

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// EnumVar defines a flag that takes one of a few values, and completes them.
func EnumVar(cmd *cobra.Command, p *string, name, shorthand, value, usage string, allowed ...string) {
	*p = value
	e := &enum{p: p, value: value, allowed: allowed}
	cmd.Flags().VarP(e, name, shorthand, usage+": "+e.list())
	// The flag exists: it was defined a line above.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// OutputFlag defines the flag for the format of what a command prints, "" being
// its own for people.
func OutputFlag(cmd *cobra.Command, p *string, value string, allowed ...string) {
	EnumVar(cmd, p, "output", "o", value, "Output format", allowed...)
}

// enum is a flag's value that is one of a few.
type enum struct {
	p *string
	// value is the one the flag has when it is not given: it is always allowed.
	value   string
	allowed []string
}

var _ pflag.Value = (*enum)(nil)

func (e *enum) String() string { return *e.p }

func (e *enum) Set(s string) error {
	if s != e.value && !slices.Contains(e.allowed, s) {
		return fmt.Errorf("must be %s", e.list())
	}
	*e.p = s
	return nil
}

// Type names the flag's value in the help.
func (*enum) Type() string { return "string" }

func (e *enum) list() string {
	if len(e.allowed) == 1 {
		return e.allowed[0]
	}
	last := len(e.allowed) - 1
	return strings.Join(e.allowed[:last], ", ") + " or " + e.allowed[last]
}
