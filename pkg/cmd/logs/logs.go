// Package logs is the command "dapr logs".
package logs

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type logsOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	layout  func() (standalone.Layout, error)
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	logs       standalone.LogsOptions
	kubernetes bool
	namespace  string
	pod        string
}

// NewCmdLogs returns the command. runF, when not nil, runs in its place.
func NewCmdLogs(f *cmdutil.Factory, runF func(context.Context, *logsOptions) error) *cobra.Command {
	if runF == nil {
		runF = logsRun
	}
	opts := &logsOptions{streams: f.IOStreams, status: f.Status, layout: f.Layout, cluster: f.Cluster, now: f.Now}
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show what an app and its sidecar have printed",
		Long: `Show what an app and its sidecar have printed in their last run, running or
over: the lines of both in the order they came, as "dapr run" shows them.

Each run's lines are also kept apart in the folder logs of the runtime folder:
APP-ID_app_TIME.log and APP-ID_daprd_TIME.log without prefixes, and
APP-ID_run_TIME.log with the lines of both.

With --kubernetes it shows the log of the app's sidecar in a cluster.`,
		Example: `  # All lines of the last run
  dapr logs --app-id nodeapp

  # The last ten, and those to come
  dapr logs --app-id nodeapp --tail 10 --follow

  # Of a sidecar in the current Kubernetes cluster
  dapr logs --kubernetes --app-id nodeapp --namespace shop`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.logs.AppID, "app-id", "a", "", "Id of the app (required)")
	flags.BoolVarP(&opts.logs.Follow, "follow", "f", false, "Go on until the run or the pod is over or Ctrl-C is pressed")
	flags.IntVar(&opts.logs.Tail, "tail", -1, "Begin with this many of the last lines; -1 is all")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Show a sidecar's log in the current Kubernetes cluster")
	flags.StringVarP(&opts.namespace, "namespace", "n", "default", "Namespace of the app; needs --kubernetes")
	flags.StringVarP(&opts.pod, "pod-name", "p", "", "Pod of the app (default: its first); needs --kubernetes")
	cmdutil.ClusterFlags(cmd, f)
	_ = cmd.MarkFlagRequired("app-id")                                      // it was defined above
	_ = cmd.RegisterFlagCompletionFunc("app-id", cmdutil.CompleteAppIDs(f)) // likewise
	return cmd
}

func logsRun(ctx context.Context, opts *logsOptions) error {
	if opts.kubernetes {
		return clusterRun(ctx, opts)
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	return standalone.Logs(ctx, l, opts.streams.Out, opts.logs)
}
