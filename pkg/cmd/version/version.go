// Package version is the command "dapr version".
package version

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

When a kubeconfig has a current context, it warns on the error output if the
control plane there is further from the CLI than is supported: releases of one
major version work together when their minor versions are at most one apart,
other builds with themselves only. It waits a second for the cluster, and says
nothing of one that does not answer, or that another program must log in to.

With --kubernetes it prints the version of the control plane too. "dapr status
--kubernetes" warns likewise.`,
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
	skew := func() string { return "" }
	if !opts.kubernetes {
		skew = opts.askAside(ctx)
	}
	v := versions{CLI: version.Version(), Runtime: standalone.RuntimeVersion(ctx, l, opts.env)}
	warning := ""
	if opts.kubernetes {
		if v.ControlPlane, warning, err = opts.controlPlane(ctx); err != nil {
			return err
		}
	}
	if err := opts.show(v); err != nil {
		return err
	}
	if warning != "" && opts.output == "" {
		opts.status.Warning("%s", warning)
	}
	if text := skew(); text != "" {
		opts.status.Line(opts.streams.ErrOut, cmdutil.Warning, text)
	}
	return nil
}

func (opts *versionOptions) show(v versions) error {
	if opts.output == "json" {
		return cmdutil.WriteJSON(opts.streams.Out, v)
	}
	// Scripts cut these lines apart, and know the blank after the first.
	fmt.Fprintf(opts.streams.Out, "CLI version: %s \nRuntime version: %s\n", v.CLI, v.Runtime)
	if opts.kubernetes {
		fmt.Fprintf(opts.streams.Out, "Control plane version: %s\n", v.ControlPlane)
	}
	return nil
}

// asideLimit bounds what nobody has asked for.
const asideLimit = time.Second

// askAside begins to ask the cluster for its version. What it returns waits for
// the warning, which is empty when there is nothing to warn of or no answer.
func (opts *versionOptions) askAside(ctx context.Context) (skew func() string) {
	cluster, err := opts.cluster()
	if err != nil || !cluster.Unattended() {
		return func() string { return "" }
	}
	ctx, cancel := context.WithTimeout(kubernetes.WithWarnings(ctx, func(string) {}), asideLimit)
	answer := make(chan string, 1)
	go func() {
		services, err := cluster.ControlPlane(ctx)
		if err != nil {
			services = nil // the user has not asked
		}
		answer <- kubernetes.SkewWarning(services, version.Version())
	}()
	return func() string {
		defer cancel()
		// Looking up a name may take no notice of the context.
		select {
		case text := <-answer:
			return text
		case <-ctx.Done():
			return ""
		}
	}
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
