// Package uninstall is the command "dapr uninstall".
package uninstall

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type uninstallOptions struct {
	status       *cmdutil.Printer
	layout       func() (standalone.Layout, error)
	controlPlane func() (*controlplane.ControlPlane, error)

	kubernetes bool
	all        bool
	dryRun     bool
	// These count with --kubernetes only; the timeout is in seconds.
	dev       bool
	namespace string
	timeout   int
	// notes are about the given flags that have no effect.
	notes []string
}

// accepted are flags for containers.
var accepted = []cmdutil.Accepted{
	{Name: "container-runtime", Default: "docker", Why: "no container was started"},
	{Name: "network", Default: "", Why: "no container was started"},
}

// onlyCluster have no effect without --kubernetes.
var onlyCluster = []cmdutil.Accepted{
	{Name: "dev", Why: "it concerns Kubernetes only"},
	{Name: "namespace", Why: "it concerns Kubernetes only"},
	{Name: "timeout", Why: "it concerns Kubernetes only"},
	{Name: "kubeconfig", Why: "it concerns Kubernetes only"},
	{Name: "context", Why: "it concerns Kubernetes only"},
}

// NewCmdUninstall returns the command. runF, when not nil, runs in its place.
func NewCmdUninstall(f *cmdutil.Factory, runF func(context.Context, *uninstallOptions) error) *cobra.Command {
	if runF == nil {
		runF = uninstallRun
	}
	opts := &uninstallOptions{status: f.Status, layout: f.Layout, controlPlane: f.ControlPlane}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the runtime off this machine, or out of a Kubernetes cluster",
		Long: `Take the runtime off this machine: what init put there, as its inventory
lists it. The apps' state and logs stay, and so do files that were changed or
added by others; what stays is listed. With --all, state, logs and changed files
go too.

With --kubernetes, take the control plane out of a Kubernetes cluster. Pods keep
the sidecars they have. With --all, the CustomResourceDefinitions go too, and
with them every Component, Configuration and so on of all apps; and the namespace,
when "dapr init" made it and no pods are left in it.`,
		Example: `  # See what would go, and what would stay
  dapr uninstall --dry-run

  # Remove the programs, keep the apps' state
  dapr uninstall

  # Remove the state and the logs too
  dapr uninstall --all

  # Remove the control plane from the current cluster
  dapr uninstall --kubernetes`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			other := accepted
			if !opts.kubernetes {
				other = append(onlyCluster, accepted...)
			} else if opts.timeout < 1 {
				return cmdutil.FlagErrorf("--timeout is %d, but must be 1 second or more", opts.timeout)
			}
			opts.notes = cmdutil.WithoutEffect(cmd.Flags(), other)
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.all, "all", false, "Remove the apps' state, their logs and changed files too; with -k, the CustomResourceDefinitions and all resources")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "Only print what would be removed")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Uninstall from a Kubernetes cluster")
	flags.BoolVar(&opts.dev, "dev", false, "With -k: remove what \"dapr init --kubernetes --dev\" created, too")
	flags.StringVarP(&opts.namespace, "namespace", "n", controlplane.DefaultNamespace, "With -k: namespace of the control plane")
	flags.IntVar(&opts.timeout, "timeout", 300, "With -k: seconds that the removal may take")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.AcceptFlags(cmd.Flags(), accepted)
	return cmd
}

func uninstallRun(ctx context.Context, opts *uninstallOptions) error {
	if opts.kubernetes {
		return clusterRun(ctx, opts)
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	p := opts.status
	for _, note := range opts.notes {
		p.Info("%s", note)
	}
	plan, err := standalone.PlanRemoval(l, opts.all)
	if err != nil {
		return err
	}
	switch {
	case len(plan.Remove) == 0:
		p.Warning("There is no runtime to remove in %s", l.Root)
		showKept(p, plan)
		return nil
	case opts.dryRun:
		for _, path := range plan.Remove {
			p.Info("Would remove %s", path)
		}
		showKept(p, plan)
		if err := refuseRunning(plan); err != nil {
			p.Warning("Now nothing would be removed: %v", err)
		}
		return nil
	}
	if err := refuseRunning(plan); err != nil {
		return err
	}
	p.Info("Removing Dapr from %s", l.Root)
	if err := plan.Do(); err != nil {
		// Scripts count on the exit code 0 of an uninstall that went wrong: they
		// go on with an init, which needs none before it.
		p.Failure("Error removing Dapr: %v", err)
		return nil
	}
	showKept(p, plan)
	p.Success("Dapr has been removed successfully")
	return nil
}

func clusterRun(ctx context.Context, opts *uninstallOptions) error {
	p := opts.status
	controlPlane, err := opts.controlPlane()
	if err != nil {
		return err
	}
	for _, note := range opts.notes {
		p.Info("%s", note)
	}
	o := controlplane.UninstallOptions{
		Namespace: opts.namespace, All: opts.all, Dev: opts.dev, Timeout: time.Duration(opts.timeout) * time.Second,
	}
	removal, err := controlPlane.PlanUninstall(ctx, o)
	if err != nil {
		return err
	}
	if absence := removal.Absence(); absence != "" {
		p.Warning("%s", absence)
	}
	switch {
	case opts.dryRun:
		showRemoval(p, removal)
		return nil
	case removal.Version == "" && !opts.all && !opts.dev:
		return nil
	}
	p.Info("Removing Dapr from %s", controlPlane.Cluster)
	if err := controlPlane.Uninstall(ctx, removal, p); err != nil {
		p.Failure("Error removing Dapr: %v", err) // with exit code 0, as on this machine
		return nil
	}
	p.Success("Dapr has been removed successfully")
	return nil
}

func showRemoval(p *cmdutil.Printer, r *controlplane.Removal) {
	if r.Version != "" {
		p.Info("Would remove the control plane of version %s from the namespace %s", r.Version, r.Namespace)
	}
	for _, crd := range r.CRDs {
		p.Info("Would delete the CustomResourceDefinition %s, and all resources of its kind: %d", crd.Name, crd.Resources)
	}
}

func refuseRunning(plan *standalone.Removal) error {
	if len(plan.Running) == 0 {
		return nil
	}
	return fmt.Errorf("apps are running: %s; stop them first: dapr stop %s",
		strings.Join(plan.Running, ", "), strings.Join(plan.Running, " "))
}

func showKept(p *cmdutil.Printer, plan *standalone.Removal) {
	for _, k := range plan.Keep {
		p.Info("Kept %s: %s", k.Path, k.Why)
	}
}
