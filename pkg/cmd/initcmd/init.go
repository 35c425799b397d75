// Package initcmd is the command "dapr init".
package initcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type initOptions struct {
	status *cmdutil.Printer
	layout func() (standalone.Layout, error)
	source func() (standalone.Source, error)

	kubernetes bool
	slim       bool
	// notes are about the given flags that have no effect.
	notes []string
}

// NewCmdInit returns the command. runF, when not nil, runs in its place.
func NewCmdInit(f *cmdutil.Factory, runF func(context.Context, *initOptions) error) *cobra.Command {
	if runF == nil {
		runF = initRun
	}
	opts := &initOptions{status: f.Status, layout: f.Layout, source: f.Source}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Put the runtime on this machine",
		Long: `Put the runtime on this machine: the programs, a state store that all apps
share, and a configuration, below ~/.dapr.

Nothing is downloaded and no container is started: this program carries what it
installs. What exists is left as it is, so init may be run at any time; a newer
dapr brings the programs up to date and keeps settings and state.`,
		Example: `  # Install, or bring up to date
  dapr init

  # Without the default state store
  dapr init --slim

  # Below another folder than the home folder
  dapr init --runtime-path /opt/sandbox`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.notes = cmdutil.WithoutEffect(cmd.Flags(), accepted)
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Install into the current Kubernetes cluster (not in this version)")
	cmd.Flags().BoolVarP(&opts.slim, "slim", "s", false, "Leave out the default state store")
	cmdutil.AcceptFlags(cmd.Flags(), accepted)
	return cmd
}

func initRun(ctx context.Context, opts *initOptions) error {
	if opts.kubernetes {
		return errors.New("installing into Kubernetes is not part of this version; run \"dapr init\" without --kubernetes to install on this machine")
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	source, err := opts.source()
	if err != nil {
		return err
	}
	opts.status.Pending("Making the jump to hyperspace...")
	for _, note := range opts.notes {
		opts.status.Info("%s", note)
	}
	report, err := standalone.Init(ctx, l, source, standalone.InitOptions{Slim: opts.slim})
	if err != nil {
		return err
	}
	show(opts.status, l, report)
	return nil
}

func show(p *cmdutil.Printer, l standalone.Layout, r *standalone.InitReport) {
	p.Info("Runtime version: %s", r.Version)
	for _, path := range r.Replaced {
		p.Success("Replaced %s", path)
	}
	for _, path := range r.Created {
		p.Success("Created %s", path)
	}
	switch r.Outcome {
	case standalone.Installed:
		for _, path := range r.Kept {
			p.Info("Left as it is: %s", path)
		}
		p.Success("Success! The runtime is in %s. Try: dapr run --app-id myapp --app-port 3000 -- node app.js", l.Root)
		p.Info("To get started: https://github.com/%s/dapr/blob/main/docs/getting-started.md", version.Owner)
	case standalone.Upgraded:
		p.Success("Success! Upgraded from %s to %s. Settings and state are kept; running apps use it after their restart", r.Previous, r.Version)
	case standalone.Downgraded:
		p.Success("Success! Downgraded from %s to %s. Settings and state are kept; running apps use it after their restart", r.Previous, r.Version)
	case standalone.Replaced:
		p.Success("Success! Replaced another build of %s. Settings and state are kept; running apps use it after their restart", r.Version)
	case standalone.Repaired:
		p.Success("Success! What was missing in %s is there again", l.Root)
	case standalone.Unchanged:
		p.Success("Nothing to do: %s is complete and up to date", l.Root)
	}
}

const (
	embedded   = "the runtime inside this program is installed, nothing is downloaded"
	container  = "no container is started, and no image pulled"
	kubernetes = "it concerns Kubernetes only"
)

// accepted are flags for downloads, containers and clusters.
var accepted = []cmdutil.Accepted{
	{Name: "runtime-version", Default: "latest", Why: embedded},
	{Name: "from-dir", Default: "", Why: embedded},
	{Name: "container-runtime", Default: "docker", Why: container},
	{Name: "dev", Default: false, Why: container},
	{Name: "image-registry", Default: "", Why: container},
	{Name: "image-variant", Default: "", Why: container},
	{Name: "network", Default: "", Why: container},
	{Name: "redis-stack", Default: false, Why: container},
	{Name: "scheduler-override-broadcast-host-port", Default: "", Why: container},
	{Name: "scheduler-volume", Default: "dapr_scheduler", Why: container},
	{Name: "ca-root-certificate", Default: "", Why: kubernetes},
	{Name: "enable-ha", Default: false, Why: kubernetes},
	{Name: "enable-mtls", Default: true, Why: kubernetes},
	{Name: "issuer-private-key", Default: "", Why: kubernetes},
	{Name: "issuer-public-certificate", Default: "", Why: kubernetes},
	{Name: "namespace", Shorthand: "n", Default: "dapr-system", Why: kubernetes},
	{Name: "set", Default: []string{}, Why: kubernetes},
	{Name: "timeout", Default: 300, Why: kubernetes},
	{Name: "wait", Default: false, Why: kubernetes},
}
