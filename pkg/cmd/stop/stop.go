// Package stop is the command "dapr stop".
package stop

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type stopOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)
	cluster func() (*kubernetes.Client, error)

	appIDs     []string
	runFile    string
	kubernetes bool
}

// NewCmdStop returns the command. runF, when not nil, runs in its place.
func NewCmdStop(f *cmdutil.Factory, runF func(context.Context, *stopOptions) error) *cobra.Command {
	if runF == nil {
		runF = stopRun
	}
	opts := &stopOptions{streams: f.IOStreams, status: f.Status, env: f.Env, layout: f.Layout, cluster: f.Cluster}
	var appID string
	cmd := &cobra.Command{
		Use:   "stop [flags] [APP-ID]...",
		Short: "Stop apps and their sidecars",
		Long: `Stop apps that "dapr run" runs on this machine, with their sidecars, and wait
until nothing of them is left. An app that cannot be stopped is told of, and does
not make the command fail.

With --kubernetes, stop the apps of a run file in a cluster: what the files
.dapr/deploy/deployment.yaml and service.yaml in the folder of each app name is
deleted, and nothing else.`,
		Example: `  dapr stop --app-id nodeapp
  dapr stop nodeapp pythonapp

  # Delete what a run file's apps have in the current cluster
  dapr stop --kubernetes --run-file dapr.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.appIDs = args
			if appID != "" && !slices.Contains(args, appID) {
				opts.appIDs = append([]string{appID}, args...)
			}
			if opts.kubernetes {
				if err := opts.checkCluster(); err != nil {
					return err
				}
			} else if len(opts.appIDs) == 0 && opts.runFile == "" {
				return cmdutil.FlagErrorf("which app? give its id: \"dapr stop APP-ID\"; \"dapr list\" shows those that run")
			}
			return runF(cmd.Context(), opts)
		},
		ValidArgsFunction: cmdutil.CompleteAppIDs(f),
	}
	flags := cmd.Flags()
	flags.StringVarP(&appID, "app-id", "a", "", "Id of the app")
	flags.StringVarP(&opts.runFile, "run-file", "f", "", "With -k: the run file whose apps to stop; a folder with a dapr.yaml, or - for standard input")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Stop the apps of a run file in a Kubernetes cluster")
	cmdutil.ClusterFlags(cmd, f)
	_ = cmd.RegisterFlagCompletionFunc("app-id", cmdutil.CompleteAppIDs(f)) // it was defined above
	return cmd
}

func stopRun(ctx context.Context, opts *stopOptions) error {
	switch {
	case opts.kubernetes:
		return clusterRun(ctx, opts)
	case opts.runFile != "":
		return errors.New("run files (--run-file) on this machine are not part of this version; stop each app with \"dapr stop APP-ID\"")
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
