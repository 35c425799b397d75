// Package logs is the command "dapr logs".
package logs

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type logsOptions struct {
	streams *iostreams.IOStreams
	layout  func() (standalone.Layout, error)

	logs       standalone.LogsOptions
	kubernetes bool
}

// NewCmdLogs returns the command. runF, when not nil, runs in its place.
func NewCmdLogs(f *cmdutil.Factory, runF func(context.Context, *logsOptions) error) *cobra.Command {
	if runF == nil {
		runF = logsRun
	}
	opts := &logsOptions{streams: f.IOStreams, layout: f.Layout}
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show what an app and its sidecar have printed",
		Long: `Show what an app and its sidecar have printed in their last run, running or
over: the lines of both in the order they came, as "dapr run" shows them.

Each run's lines are also kept apart in the folder logs of the runtime folder:
APP-ID_app_TIME.log and APP-ID_daprd_TIME.log without prefixes, and
APP-ID_run_TIME.log with the lines of both.`,
		Example: `  # All lines of the last run
  dapr logs --app-id nodeapp

  # The last ten, and those to come
  dapr logs --app-id nodeapp --tail 10 --follow`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.logs.AppID, "app-id", "a", "", "Id of the app (required)")
	flags.BoolVarP(&opts.logs.Follow, "follow", "f", false, "Go on until the run is over or Ctrl-C is pressed")
	flags.IntVar(&opts.logs.Tail, "tail", -1, "Begin with this many of the last lines; -1 is all")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Show a sidecar's log in the current Kubernetes cluster (not in this version)")
	cmdutil.AcceptFlags(flags, []cmdutil.Accepted{
		{Name: "namespace", Shorthand: "n", Default: "default", Why: "it concerns Kubernetes only"},
		{Name: "pod-name", Shorthand: "p", Default: "", Why: "it concerns Kubernetes only"},
	})
	_ = cmd.MarkFlagRequired("app-id")                                      // it was defined above
	_ = cmd.RegisterFlagCompletionFunc("app-id", cmdutil.CompleteAppIDs(f)) // likewise
	return cmd
}

func logsRun(ctx context.Context, opts *logsOptions) error {
	if opts.kubernetes {
		return errors.New("logs from a Kubernetes cluster are not part of this version; use \"kubectl logs POD -c daprd\", or run \"dapr logs\" without --kubernetes for this machine")
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	return standalone.Logs(ctx, l, opts.streams.Out, opts.logs)
}
