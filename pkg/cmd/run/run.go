// Package run is the command "dapr run".
package run

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmd/keep"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type runOptions struct {
	streams     *iostreams.IOStreams
	status      *cmdutil.Printer
	layout      func() (standalone.Layout, error)
	source      func() (standalone.Source, error)
	executable  func() (string, error)
	cluster     func() (*kubernetes.Client, error)
	takeSignals func() <-chan os.Signal

	run            standalone.RunOptions
	componentsPath string
	runFile        string
	kubernetes     bool
	env            cmdutil.Env
	// warnings are about the given flags that are deprecated.
	warnings []string
}

// NewCmdRun returns the command. runF, when not nil, runs in its place.
func NewCmdRun(f *cmdutil.Factory, runF func(context.Context, *runOptions) error) *cobra.Command {
	if runF == nil {
		runF = runRun
	}
	opts := &runOptions{
		streams: f.IOStreams, status: f.Status, env: f.Env, layout: f.Layout,
		source: f.Source, executable: f.Executable, cluster: f.Cluster, takeSignals: f.TakeSignals,
	}
	cmd := &cobra.Command{
		Use:   "run [flags] [-- COMMAND [ARG]...]",
		Short: "Run an app with its sidecar",
		Long: `Run an app with its sidecar, or a sidecar alone, until one of them ends or
Ctrl-C is pressed. The exit code is the app's.

The app starts when it can call out through the sidecar. It finds the sidecar by
the variables DAPR_HTTP_PORT and DAPR_GRPC_PORT, and its own id and port in
APP_ID and APP_PORT. Ports that are not given are free ones.

Nothing is left when the run is over: whatever the app has started is asked to
end, and killed when it has not after 5 seconds. A second Ctrl-C kills at once.
The output of both is also kept: see "dapr logs".

With --kubernetes, run the apps of a run file in a cluster, each out of its
containerImage in a Deployment with a sidecar, which is written into .dapr/deploy
in the app's folder. Their output is shown until Ctrl-C is pressed or their pods
are gone; then what was made is deleted.`,
		Example: `  # A Node.js app that listens on port 3000
  dapr run --app-id nodeapp --app-port 3000 -- node app.js

  # An app that only calls others
  dapr run --app-id pythonapp -- python3 app.py

  # With components of its own
  dapr run --app-id nodeapp --app-port 3000 --resources-path ./components -- node app.js

  # A sidecar alone, for an app that a debugger starts
  dapr run --app-id nodeapp --app-port 3000 --dapr-http-port 3500

  # The apps of a run file, in the current cluster
  dapr run --kubernetes --run-file dapr.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.run.Command = args
			opts.run.Env = f.Env
			opts.run.LogAsJSON = f.LogAsJSON
			opts.deprecated(cmd)
			if opts.kubernetes && opts.runFile == "" {
				return cmdutil.FlagErrorf("which apps? give their run file with --run-file; a manifest of your own gets its sidecar with \"dapr annotate -k\"")
			}
			return runF(cmd.Context(), opts)
		},
	}
	addFlags(cmd, opts)
	cmdutil.ClusterFlags(cmd, f)
	return cmd
}

func addFlags(cmd *cobra.Command, opts *runOptions) {
	o, flags := &opts.run, cmd.Flags()

	flags.StringVarP(&o.AppID, "app-id", "a", "", "Id of the app, by which others call it (default: one is made up)")
	flags.IntVarP(&o.AppPort, "app-port", "p", -1, "Port the app listens on; -1 is none, the app takes no calls")
	cmdutil.EnumVar(cmd, &o.AppProtocol, "app-protocol", "P", "http", "Protocol the app speaks", standalone.AppProtocols()...)
	flags.StringVar(&o.AppChannelAddress, "app-channel-address", "127.0.0.1", "Address the app listens on")
	flags.IntVar(&o.AppMaxConcurrency, "app-max-concurrency", -1, "Calls to the app at one time; -1 is no limit")
	flags.BoolVar(&o.AppSSL, "app-ssl", false, "Deprecated: use --app-protocol https or grpcs")

	flags.BoolVar(&o.EnableAppHealthCheck, "enable-app-health-check", false, "Probe the app, and hold back calls while it is unhealthy")
	flags.StringVar(&o.AppHealthCheckPath, "app-health-check-path", "", "Path of the probe, for HTTP apps (default /healthz)")
	flags.IntVar(&o.AppHealthProbeInterval, "app-health-probe-interval", 0, "Seconds between probes (default 5)")
	flags.IntVar(&o.AppHealthProbeTimeout, "app-health-probe-timeout", 0, "Milliseconds a probe may take (default 500)")
	flags.IntVar(&o.AppHealthThreshold, "app-health-threshold", 0, "Failed probes in a row that make the app unhealthy (default 3)")

	flags.IntVarP(&o.HTTPPort, "dapr-http-port", "H", -1, "Port of the sidecar's HTTP API; -1 is a free one")
	flags.IntVarP(&o.GRPCPort, "dapr-grpc-port", "G", -1, "Port of the sidecar's gRPC API; -1 is a free one")
	flags.IntVarP(&o.InternalGRPCPort, "dapr-internal-grpc-port", "I", -1, "Port for other sidecars; -1 is a free one")
	flags.IntVarP(&o.MetricsPort, "metrics-port", "M", -1, "Port of the sidecar's metrics; -1 is a free one")
	flags.BoolVar(&o.EnableProfiling, "enable-profiling", false, "Serve pprof of the sidecar")
	flags.IntVar(&o.ProfilePort, "profile-port", -1, "Port of pprof; -1 is a free one")
	flags.StringVar(&o.ListenAddresses, "dapr-listen-addresses", "", "Addresses of the sidecar's APIs, separated by commas (default: all)")
	flags.StringVarP(&o.UnixDomainSocket, "unix-domain-socket", "u", "", "Folder for unix domain sockets in place of the APIs' ports")

	flags.StringVarP(&o.Config, "config", "c", "", "File of the Configuration (default: config.yaml in the runtime folder)")
	flags.StringSliceVar(&o.ResourcesPaths, "resources-path", nil, "Folder of components and other resources; repeatable (default: components in the runtime folder)")
	flags.StringVarP(&opts.componentsPath, "components-path", "d", "", "Deprecated: use --resources-path")
	flags.StringVar(&o.PlacementHostAddress, "placement-host-address", "", "Addresses of the placement service for actors, separated by commas")
	flags.StringVar(&o.SchedulerHostAddress, "scheduler-host-address", "", "Addresses of the scheduler for jobs, separated by commas")

	flags.StringVar(&o.MaxBodySize, "max-body-size", "4Mi", "Largest request body")
	flags.StringVar(&o.ReadBufferSize, "read-buffer-size", "4Ki", "Largest request header")
	cmdutil.EnumVar(cmd, &o.LogLevel, "log-level", "", "info", "Least level of the sidecar's log", standalone.LogLevels()...)
	flags.BoolVar(&o.EnableAPILogging, "enable-api-logging", false, "Log every call of the sidecar's APIs")

	flags.StringVarP(&opts.runFile, "run-file", "f", "", "With -k: the run file whose apps to run; a folder with a dapr.yaml, or - for standard input")
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Run the apps of a run file in a Kubernetes cluster")
}

// deprecated replaces the deprecated flags that were given.
func (opts *runOptions) deprecated(cmd *cobra.Command) {
	warn := func(flag, instead string) {
		opts.warnings = append(opts.warnings, fmt.Sprintf("--%s is deprecated: use %s", flag, instead))
	}
	if cmd.Flags().Changed("app-ssl") {
		warn("app-ssl", "--app-protocol https or grpcs")
	}
	if cmd.Flags().Changed("components-path") {
		warn("components-path", "--resources-path")
		if len(opts.run.ResourcesPaths) == 0 && opts.componentsPath != "" {
			opts.run.ResourcesPaths = []string{opts.componentsPath}
		}
	}
}

func runRun(ctx context.Context, opts *runOptions) error {
	switch {
	case opts.kubernetes:
		return clusterRun(ctx, opts)
	case opts.runFile != "":
		return errors.New("running several apps from a file (--run-file) is not part of this version; run each with \"dapr run --app-id ID -- COMMAND\"")
	}
	for _, w := range opts.warnings {
		opts.status.Warning("%s", w)
	}
	if err := opts.prepare(ctx); err != nil {
		return err
	}
	stdin, _ := opts.streams.In.(*os.File)
	// From here on a signal ends the run, and not this command.
	signals := opts.takeSignals()
	code, err := standalone.Run(context.WithoutCancel(ctx), opts.run, standalone.Streams{
		In:         stdin,
		InTerminal: opts.streams.IsStdinTTY(),
		Out:        opts.streams.Out,
		Err:        opts.streams.ErrOut,
		Color:      opts.streams.ColorEnabled(),
		Signals:    signals,
		Report:     opts.status,
	})
	if code == 0 && err == nil {
		return nil
	}
	return &cmdutil.ExitError{Code: max(code, 1), Err: err}
}

// prepare finds the programs, and fills the runtime folder if nobody has yet.
func (opts *runOptions) prepare(ctx context.Context) error {
	l, err := opts.layout()
	if err != nil {
		return err
	}
	source, err := opts.source()
	if err != nil {
		return err
	}
	if !standalone.Initialised(l) {
		if _, err := standalone.Init(ctx, l, source, standalone.InitOptions{}); err != nil {
			return err
		}
		opts.status.Info("The runtime was not there yet: it is now in %s, as \"dapr init\" puts it there", l.Root)
	}
	executable, err := opts.executable()
	if err != nil {
		return err
	}
	opts.run.Layout = l
	opts.run.Keeper = []string{executable, keep.Name}
	opts.run.Daprd, err = standalone.FindDaprd(ctx, l, source)
	return err
}
