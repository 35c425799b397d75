// Package upgrade is the command "dapr upgrade".
package upgrade

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/version"
)

type upgradeOptions struct {
	status       *cmdutil.Printer
	controlPlane func() (*controlplane.ControlPlane, error)
	now          func() time.Time

	kubernetes bool
	dryRun     bool
	namespace  string
	// timeout is in seconds.
	timeout  int
	version  string
	registry string
	variant  string
	set      []string
}

// NewCmdUpgrade returns the command. runF, when not nil, runs in its place.
func NewCmdUpgrade(f *cmdutil.Factory, runF func(context.Context, *upgradeOptions) error) *cobra.Command {
	if runF == nil {
		runF = upgradeRun
	}
	opts := &upgradeOptions{status: f.Status, controlPlane: f.ControlPlane, now: f.Now}
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring the control plane of a Kubernetes cluster to this version",
		Long: `Bring the control plane of a Kubernetes cluster to the version of this program.

A plan is printed first: what changes of images, CustomResourceDefinitions and
objects, and what a rollback would not take back. The values that the control
plane was installed with stay, and so does its certificate authority; running
sidecars go on serving. When the new control plane does not get ready in time,
the command goes back to the old one by itself, and fails.

On this machine "dapr init" brings the runtime up to date.`,
		Example: `  # See what would be done
  dapr upgrade --kubernetes --dry-run

  dapr upgrade --kubernetes

  # Change values on the way, or without another version
  dapr upgrade --kubernetes --set global.ha.enabled=true`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Upgrade the control plane of a Kubernetes cluster (required)")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "Only print the plan")
	flags.StringVarP(&opts.namespace, "namespace", "n", "", "Namespace of the control plane (default: the one that has it)")
	flags.IntVar(&opts.timeout, "timeout", 300, "Seconds that the upgrade may take, and once more the rollback if it fails")
	flags.StringVar(&opts.version, "runtime-version", "latest", "Version to upgrade to: only that of this program, which carries it")
	flags.StringArrayVar(&opts.set, "set", nil, "Value of the chart, as name=value (repeatable)")
	cmdutil.RegistryFlag(flags, &opts.registry)
	cmdutil.VariantFlag(flags, &opts.variant)
	cmdutil.ClusterFlags(cmd, f)
	return cmd
}

func (opts *upgradeOptions) check() error {
	if !opts.kubernetes {
		return cmdutil.FlagErrorf("--kubernetes is required: on this machine, \"dapr init\" brings the runtime up to date")
	}
	if err := cmdutil.CheckVersion(opts.version, version.Version()); err != nil {
		return err
	}
	if err := cmdutil.CheckVariant(opts.variant); err != nil {
		return err
	}
	if opts.timeout < 1 {
		return cmdutil.FlagErrorf("--timeout is %d, but must be 1 second or more", opts.timeout)
	}
	return nil
}

func upgradeRun(ctx context.Context, opts *upgradeOptions) error {
	controlPlane, err := opts.controlPlane()
	if err != nil {
		return err
	}
	done := opts.status.Spin("Planning the upgrade of " + controlPlane.Cluster.String())
	plan, err := controlPlane.PlanUpgrade(ctx, controlplane.UpgradeOptions{
		Namespace: opts.namespace,
		Change:    opts.change,
		Timeout:   time.Duration(opts.timeout) * time.Second,
	})
	done(err)
	if err != nil {
		return err
	}
	if plan.Empty() {
		opts.status.Success("Nothing to do: version %s is in the namespace %s, with these values", plan.To, plan.Namespace)
		return nil
	}
	show(opts.status, plan)
	if opts.dryRun {
		return nil
	}
	if err := controlPlane.Upgrade(ctx, plan, opts.status); err != nil {
		return err
	}
	opts.status.Success("Success! The control plane in the namespace %s is of version %s. To verify: dapr status -k", plan.Namespace, plan.To)
	cmdutil.WarnOfExpiry(ctx, opts.status, "", controlPlane.Cluster, opts.now())
	return nil
}

// change lays the flags over the values that were given before.
func (opts *upgradeOptions) change(v helm.Values) error {
	if opts.registry != "" {
		registry, err := cmdutil.Registry(opts.registry)
		if err != nil {
			return err
		}
		v.Put(registry, "global", "registry")
	}
	for _, expression := range opts.set {
		if err := v.Set(expression); err != nil {
			return cmdutil.FlagErrorf("--set: %w", err)
		}
	}
	return nil
}
