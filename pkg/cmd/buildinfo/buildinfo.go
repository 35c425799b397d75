// Package buildinfo is the command "dapr build-info".
package buildinfo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type buildInfoOptions struct {
	streams *iostreams.IOStreams
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)
}

// NewCmdBuildInfo returns the command. runF, when not nil, runs in its place.
func NewCmdBuildInfo(f *cmdutil.Factory, runF func(context.Context, *buildInfoOptions) error) *cobra.Command {
	if runF == nil {
		runF = buildInfoRun
	}
	opts := &buildInfoOptions{streams: f.IOStreams, env: f.Env, layout: f.Layout}
	return &cobra.Command{
		Use:     "build-info",
		Short:   "Print what the CLI and the runtime were built from",
		Long:    "Print the version and the git commit of the CLI and of the runtime, as bug reports need them.",
		Example: `  dapr build-info`,
		Args:    cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
}

func buildInfoRun(ctx context.Context, opts *buildInfoOptions) error {
	l, err := opts.layout()
	if err != nil && !errors.Is(err, cmdutil.ErrNoHome) { // without a home there is no runtime in it
		return err
	}
	runtime := strings.ReplaceAll(standalone.RuntimeBuildInfo(ctx, l, opts.env), "\n", "\n\t")
	_, err = fmt.Fprintf(opts.streams.Out, "CLI:\n\tVersion: %s\n\tGit Commit: %s\n\tGit Version: %s\nRuntime:\n\t%s\n",
		version.Version(), version.Commit(), version.GitVersion(), runtime)
	return err
}
