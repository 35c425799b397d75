// Package keep is the hidden command that ends a run whose CLI was killed. It is
// not for people: "dapr run" starts it.
package keep

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

// Name is the command's.
const Name = "__keep"

// NewCmdKeep returns the command.
func NewCmdKeep(f *cmdutil.Factory) *cobra.Command {
	return &cobra.Command{
		Use:    Name,
		Hidden: true,
		Args:   cmdutil.NoArgs,
		// In place of the root's: nothing may keep a keeper from its work.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Taken and never read: what asks the CLI to end may reach the keeper
			// too, which is needed until the CLI has ended.
			f.TakeSignals()
			return standalone.Keep(context.WithoutCancel(cmd.Context()), f.IOStreams.In)
		},
	}
}
