// Package completion is the command "dapr completion".
package completion

import (
	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
)

// NewCmdCompletion returns the command with one command below it for each shell.
func NewCmdCompletion(f *cmdutil.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Print a script that completes commands, flags and app ids in a shell",
		Long: `Print a script that completes commands, flags and app ids in a shell.

The script asks dapr itself what can come next, so it stays right when dapr is
upgraded.`,
		Example: `  source <(dapr completion bash)
  dapr completion zsh > "${fpath[1]}/_dapr"
  dapr completion fish > ~/.config/fish/completions/dapr.fish
  dapr completion powershell | Out-String | Invoke-Expression`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cmdutil.FlagErrorf("no script for %q: the shells are bash, zsh, fish and powershell", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	out := f.IOStreams.Out
	shells := []struct {
		name, example string
		write         func(root *cobra.Command) error
	}{
		{"bash", "  source <(dapr completion bash)\n  dapr completion bash > /etc/bash_completion.d/dapr", func(root *cobra.Command) error { return root.GenBashCompletionV2(out, true) }},
		{"zsh", "  dapr completion zsh > \"${fpath[1]}/_dapr\"", func(root *cobra.Command) error { return root.GenZshCompletion(out) }},
		{"fish", "  dapr completion fish > ~/.config/fish/completions/dapr.fish", func(root *cobra.Command) error { return root.GenFishCompletion(out, true) }},
		{"powershell", "  dapr completion powershell | Out-String | Invoke-Expression", func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(out) }},
	}
	for _, shell := range shells {
		cmd.AddCommand(&cobra.Command{
			Use:     shell.name,
			Short:   "Print the script for " + shell.name,
			Example: shell.example,
			Args:    cmdutil.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return shell.write(cmd.Root()) },
		})
	}
	return cmd
}
