// Package version is the command "dapr version".
package version

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type versionOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)
	cluster func() (*kubernetes.Client, error)

	kubernetes bool
	output     string
}

// NewCmdVersion returns the command. runF, when not nil, runs in its place.
func NewCmdVersion(f *cmdutil.Factory, runF func(context.Context, *versionOptions) error) *cobra.Command {
	if runF == nil {
		runF = versionRun
	}
	opts := &versionOptions{streams: f.IOStreams, status: f.Status, env: f.Env, layout: f.Layout, cluster: f.Cluster}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the CLI and of the runtime",
		Long: `Print the versions of the CLI and of the runtime, which is "n/a" before "dapr init".

With --kubernetes it prints that of the control plane too, and warns when it is
further from the CLI's than is supported: releases of one major version work
together when their minor versions are at most one apart, other builds with
themselves only. "dapr status --kubernetes" warns likewise.`,
		Example: `  dapr version
  dapr version --output json

  # Also that of the control plane in the current Kubernetes cluster
  dapr version --kubernetes`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Ask the current Kubernetes cluster, too")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.OutputFlag(cmd, &opts.output, "", "json")
	return cmd
}

func versionRun(ctx context.Context, opts *versionOptions) error {
	l, err := opts.layout()
	if err != nil && !errors.Is(err, cmdutil.ErrNoHome) { // without a home there is no runtime in it
		return err
	}
	v := versions{CLI: version.Version(), Runtime: standalone.RuntimeVersion(ctx, l, opts.env)}
	warning := ""
	// Nobody but who asks for it waits for a cluster.
	if opts.kubernetes {
		if v.ControlPlane, warning, err = opts.controlPlane(ctx); err != nil {
			return err
		}
	}
	if opts.output == "json" {
		return cmdutil.WriteJSON(opts.streams.Out, v)
	}
	// Scripts cut these lines apart, and know the blank after the first.
	fmt.Fprintf(opts.streams.Out, "CLI version: %s \nRuntime version: %s\n", v.CLI, v.Runtime)
	if opts.kubernetes {
		fmt.Fprintf(opts.streams.Out, "Control plane version: %s\n", v.ControlPlane)
	}
	if warning != "" {
		opts.status.Warning("%s", warning)
	}
	return nil
}

// versions is what the command shows.
type versions struct {
	CLI          string `json:"Cli version"`
	Runtime      string `json:"Runtime version"`
	ControlPlane string `json:"Control plane version,omitempty"`
}

// controlPlane returns the control plane's version, "n/a" when there is none.
func (opts *versionOptions) controlPlane(ctx context.Context) (found, warning string, err error) {
	cluster, err := opts.cluster()
	if err != nil {
		return "", "", err
	}
	services, err := cluster.ControlPlane(ctx)
	if err != nil {
		return "", "", err
	}
	if len(services) == 0 {
		return "n/a", "", nil
	}
	return strings.Join(kubernetes.Versions(services), ", "), kubernetes.SkewWarning(services, version.Version()), nil
}
