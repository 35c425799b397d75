package cmdutil

import (
	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// CompleteAppIDs completes the ids of the apps that run now.
func CompleteAppIDs(f *Factory) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		l, err := f.Layout()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		running, err := instances.List(l.Instances())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []cobra.Completion
		for _, i := range running {
			ids = append(ids, i.AppID)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
