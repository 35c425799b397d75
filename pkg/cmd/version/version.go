// Package version is the command "dapr version".
package version

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type versionOptions struct {
	streams *iostreams.IOStreams
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)

	output string
}

// NewCmdVersion returns the command. runF, when not nil, runs in its place.
func NewCmdVersion(f *cmdutil.Factory, runF func(context.Context, *versionOptions) error) *cobra.Command {
	if runF == nil {
		runF = versionRun
	}
	opts := &versionOptions{streams: f.IOStreams, env: f.Env, layout: f.Layout}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the CLI and of the runtime",
		Long:  `Print the versions of the CLI and of the runtime, which is "n/a" before "dapr init".`,
		Example: `  dapr version
  dapr version --output json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	cmdutil.OutputFlag(cmd, &opts.output, "", "json")
	return cmd
}

func versionRun(ctx context.Context, opts *versionOptions) error {
	l, err := opts.layout()
	if err != nil && !errors.Is(err, cmdutil.ErrNoHome) { // without a home there is no runtime in it
		return err
	}
	runtime := standalone.RuntimeVersion(ctx, l, opts.env)
	if opts.output == "json" {
		return cmdutil.WriteJSON(opts.streams.Out, struct {
			CLI     string `json:"Cli version"`
			Runtime string `json:"Runtime version"`
		}{version.Version(), runtime})
	}
	// Scripts cut these lines apart, and know the blank after the first.
	_, err = fmt.Fprintf(opts.streams.Out, "CLI version: %s \nRuntime version: %s\n", version.Version(), runtime)
	return err
}
