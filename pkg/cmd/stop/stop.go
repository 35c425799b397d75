// Package stop is the command "dapr stop".
package stop

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type stopOptions struct {
	status *cmdutil.Printer
	layout func() (standalone.Layout, error)

	appIDs     []string
	runFile    string
	kubernetes bool
}

// NewCmdStop returns the command. runF, when not nil, runs in its place.
func NewCmdStop(f *cmdutil.Factory, runF func(context.Context, *stopOptions) error) *cobra.Command {
	if runF == nil {
		runF = stopRun
	}
	opts := &stopOptions{status: f.Status, layout: f.Layout}
	var appID string
	cmd := &cobra.Command{
		Use:   "stop [flags] [APP-ID]...",
		Short: "Stop apps and their sidecars",
		Long: `Stop apps that "dapr run" runs on this machine, with their sidecars, and wait
until nothing of them is left. An app that cannot be stopped is told of, and does
not make the command fail.`,
		Example: `  dapr stop --app-id nodeapp
  dapr stop nodeapp pythonapp`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.appIDs = args
			if appID != "" && !slices.Contains(args, appID) {
				opts.appIDs = append([]string{appID}, args...)
			}
			if len(opts.appIDs) == 0 && opts.runFile == "" && !opts.kubernetes {
				return cmdutil.FlagErrorf("which app? give its id: \"dapr stop APP-ID\"; \"dapr list\" shows those that run")
			}
			return runF(cmd.Context(), opts)
		},
		ValidArgsFunction: cmdutil.CompleteAppIDs(f),
	}
	flags := cmd.Flags()
	flags.StringVarP(&appID, "app-id", "a", "", "Id of the app")
	flags.StringVarP(&opts.runFile, "run-file", "f", "", "Stop the apps of a run file (not in this version)")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Stop the apps of a run file in Kubernetes (not in this version)")
	_ = cmd.RegisterFlagCompletionFunc("app-id", cmdutil.CompleteAppIDs(f)) // it was defined above
	return cmd
}

func stopRun(ctx context.Context, opts *stopOptions) error {
	if opts.runFile != "" || opts.kubernetes {
		return errors.New("run files (--run-file, --kubernetes) are not part of this version; stop each app with \"dapr stop APP-ID\"")
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	for _, id := range opts.appIDs {
		if err := standalone.Stop(ctx, l, id); err != nil {
			opts.status.Failure("failed to stop app id %s: %v", id, err)
			continue
		}
		opts.status.Success("app stopped successfully: %s", id)
	}
	return nil
}
