package cmdutil

import "github.com/spf13/cobra"

// NoArgs refuses arguments, and says so in other words than cobra, which takes
// them for commands.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return FlagErrorf("%q takes no arguments, but was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}
