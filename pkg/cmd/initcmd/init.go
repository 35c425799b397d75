// Package initcmd is the command "dapr init".
package initcmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type initOptions struct {
	status       *cmdutil.Printer
	layout       func() (standalone.Layout, error)
	source       func() (standalone.Source, error)
	controlPlane func() (*controlplane.ControlPlane, error)
	now          func() time.Time

	kubernetes bool
	slim       bool
	// version is the wanted one; "latest" is that of this program.
	version string
	cluster clusterOptions
	// notes are about the given flags that have no effect.
	notes []string
}

// NewCmdInit returns the command. runF, when not nil, runs in its place.
func NewCmdInit(f *cmdutil.Factory, runF func(context.Context, *initOptions) error) *cobra.Command {
	if runF == nil {
		runF = initRun
	}
	opts := &initOptions{status: f.Status, layout: f.Layout, source: f.Source, controlPlane: f.ControlPlane, now: f.Now}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Put the runtime on this machine, or into a Kubernetes cluster",
		Long: `Put the runtime on this machine: the programs, a state store that all apps
share, and a configuration, below ~/.dapr.

Nothing is downloaded and no container is started: this program carries what it
installs. What exists is left as it is, so init may be run at any time; a newer
dapr brings the programs up to date and keeps settings and state.

With --kubernetes, put the control plane into a Kubernetes cluster: the
CustomResourceDefinitions, and a Helm release named "dapr" of the chart that this
program carries. The cluster pulls one image, REGISTRY/dapr:VERSION. An
installation that fails removes what it made, but for the
CustomResourceDefinitions.`,
		Example: `  # Install on this machine, or bring up to date
  dapr init

  # Without the default state store, below another folder than the home folder
  dapr init --slim --runtime-path /opt/sandbox

  # Install into the current cluster, and wait until everything runs
  dapr init --kubernetes --wait

  # With three pods of each service, out of a registry of your own
  dapr init --kubernetes --enable-ha --image-registry registry.example.com/team

  # With values of the chart
  dapr init --kubernetes --set global.logAsJson=true --set dapr_sentry.logLevel=debug`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			other := onlyHere
			if !opts.kubernetes {
				other = onlyCluster
			} else if err := opts.check(); err != nil {
				return err
			}
			opts.notes = cmdutil.WithoutEffect(cmd.Flags(), append(other, accepted...))
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Install into a Kubernetes cluster")
	flags.BoolVarP(&opts.slim, "slim", "s", false, "Leave out the default state store")
	flags.StringVar(&opts.version, "runtime-version", "latest", "Version to install: only that of this program, which carries it")
	opts.cluster.define(cmd)
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.AcceptFlags(flags, accepted)
	return cmd
}

func initRun(ctx context.Context, opts *initOptions) error {
	if opts.kubernetes {
		return clusterRun(ctx, opts)
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
	here       = "it concerns this machine only"
)

// accepted are flags for downloads and containers.
var accepted = []cmdutil.Accepted{
	{Name: "from-dir", Default: "", Why: embedded},
	{Name: "container-runtime", Default: "docker", Why: container},
	{Name: "network", Default: "", Why: container},
	{Name: "redis-stack", Default: false, Why: container},
	{Name: "scheduler-override-broadcast-host-port", Default: "", Why: container},
	{Name: "scheduler-volume", Default: "dapr_scheduler", Why: container},
}

// onlyHere have no effect with --kubernetes, onlyCluster none without.
var (
	onlyHere    = []cmdutil.Accepted{{Name: "slim", Why: here}}
	onlyCluster = []cmdutil.Accepted{
		{Name: "runtime-version", Why: embedded},
		{Name: "dev", Why: container},
		{Name: "image-registry", Why: container},
		{Name: "image-variant", Why: container},
		{Name: "ca-root-certificate", Why: kubernetes},
		{Name: "enable-ha", Why: kubernetes},
		{Name: "enable-mtls", Why: kubernetes},
		{Name: "issuer-private-key", Why: kubernetes},
		{Name: "issuer-public-certificate", Why: kubernetes},
		{Name: "namespace", Why: kubernetes},
		{Name: "set", Why: kubernetes},
		{Name: "timeout", Why: kubernetes},
		{Name: "wait", Why: kubernetes},
		{Name: "kubeconfig", Why: kubernetes},
		{Name: "context", Why: kubernetes},
	}
)
