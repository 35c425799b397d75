// Package uninstall is the command "dapr uninstall".
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type uninstallOptions struct {
	status *cmdutil.Printer
	layout func() (standalone.Layout, error)

	kubernetes bool
	all        bool
	dryRun     bool
	// notes are about the given flags that have no effect.
	notes []string
}

// accepted are flags for containers and clusters.
var accepted = []cmdutil.Accepted{
	{Name: "container-runtime", Default: "docker", Why: "no container was started"},
	{Name: "network", Default: "", Why: "no container was started"},
	{Name: "dev", Default: false, Why: "it concerns Kubernetes only"},
	{Name: "namespace", Shorthand: "n", Default: "dapr-system", Why: "it concerns Kubernetes only"},
	{Name: "timeout", Default: 300, Why: "it concerns Kubernetes only"},
}

// NewCmdUninstall returns the command. runF, when not nil, runs in its place.
func NewCmdUninstall(f *cmdutil.Factory, runF func(context.Context, *uninstallOptions) error) *cobra.Command {
	if runF == nil {
		runF = uninstallRun
	}
	opts := &uninstallOptions{status: f.Status, layout: f.Layout}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the runtime off this machine",
		Long: `Take the runtime off this machine: what init put there, as its inventory
lists it. The apps' state and logs stay, and so do files that were changed or
added by others; what stays is listed. With --all, state, logs and changed files
go too.`,
		Example: `  # See what would go, and what would stay
  dapr uninstall --dry-run

  # Remove the programs, keep the apps' state
  dapr uninstall

  # Remove the state and the logs too
  dapr uninstall --all`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.notes = cmdutil.WithoutEffect(cmd.Flags(), accepted)
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.all, "all", false, "Remove the apps' state, their logs and changed files too")
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "Only print what would be removed")
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Uninstall from the current Kubernetes cluster (not in this version)")
	cmdutil.AcceptFlags(cmd.Flags(), accepted)
	return cmd
}

func uninstallRun(_ context.Context, opts *uninstallOptions) error {
	if opts.kubernetes {
		return errors.New("uninstalling from Kubernetes is not part of this version; run \"dapr uninstall\" without --kubernetes for this machine")
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
