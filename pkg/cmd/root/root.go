// Package root is the command dapr: it joins the commands, and turns what they
// return into an exit code.
package root

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/cmd/annotate"
	"github.com/hyperdapr/dapr/pkg/cmd/buildinfo"
	"github.com/hyperdapr/dapr/pkg/cmd/completion"
	"github.com/hyperdapr/dapr/pkg/cmd/doctor"
	"github.com/hyperdapr/dapr/pkg/cmd/image"
	"github.com/hyperdapr/dapr/pkg/cmd/initcmd"
	"github.com/hyperdapr/dapr/pkg/cmd/inject"
	"github.com/hyperdapr/dapr/pkg/cmd/invoke"
	"github.com/hyperdapr/dapr/pkg/cmd/keep"
	"github.com/hyperdapr/dapr/pkg/cmd/list"
	"github.com/hyperdapr/dapr/pkg/cmd/logs"
	"github.com/hyperdapr/dapr/pkg/cmd/mtls"
	"github.com/hyperdapr/dapr/pkg/cmd/resources"
	"github.com/hyperdapr/dapr/pkg/cmd/run"
	"github.com/hyperdapr/dapr/pkg/cmd/status"
	"github.com/hyperdapr/dapr/pkg/cmd/stop"
	"github.com/hyperdapr/dapr/pkg/cmd/uninstall"
	"github.com/hyperdapr/dapr/pkg/cmd/upgrade"
	"github.com/hyperdapr/dapr/pkg/cmd/version"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/nearest"
)

const banner = `
      |
  .---|  .---.  .---.  .--
  |   |  .---|  |   |  |
  '---'  '---'  |---'  |
                |

Run microservices with a sidecar that gives them state, calls, messages and more.`

// Groups of the help's list of commands.
const (
	groupApps    = "apps"
	groupRuntime = "runtime"
)

// NewCmdRoot returns the command dapr with all below it.
func NewCmdRoot(f *cmdutil.Factory) *cobra.Command {
	var showVersion bool
	versionCmd := version.NewCmdVersion(f, nil)
	cmd := &cobra.Command{
		Use:   "dapr",
		Short: "Run microservices with a sidecar",
		Long:  banner,
		Example: `  # Put the runtime on this machine: no network, no containers
  dapr init

  # Run an app with its sidecar, and call it
  dapr run --app-id nodeapp --app-port 3000 -- node app.js
  dapr invoke --app-id nodeapp --method order --verb GET`,
		// Main prints errors, once.
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return bind(cmd, f)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if showVersion {
				return versionCmd.RunE(cmd, args)
			}
			return cmd.Help()
		},
	}
	cmd.SetIn(f.IOStreams.In)
	cmd.SetOut(f.IOStreams.Out)
	cmd.SetErr(f.IOStreams.ErrOut)
	cmd.SetFlagErrorFunc(flagError)
	// "dapr completion" is ours: it says more.
	cmd.CompletionOptions.DisableDefaultCmd = true

	cmd.Flags().BoolVarP(&showVersion, "version", "v", false, "Print the versions of the CLI and of the runtime")
	cmd.PersistentFlags().BoolVar(&f.LogAsJSON, "log-as-json", false, "Print status lines as JSON objects")
	cmd.PersistentFlags().StringVar(&f.RuntimePath, "runtime-path", "", "Folder that holds the runtime's folder .dapr (default: the home folder)")

	cmd.AddGroup(
		&cobra.Group{ID: groupApps, Title: "Apps:"},
		&cobra.Group{ID: groupRuntime, Title: "Runtime:"},
	)
	add(cmd, groupApps,
		run.NewCmdRun(f, nil),
		list.NewCmdList(f, nil),
		logs.NewCmdLogs(f, nil),
		invoke.NewCmdInvoke(f, nil),
		stop.NewCmdStop(f, nil),
		annotate.NewCmdAnnotate(f, nil),
		inject.NewCmdInject(f, nil),
	)
	add(cmd, groupRuntime,
		initcmd.NewCmdInit(f, nil),
		upgrade.NewCmdUpgrade(f, nil),
		uninstall.NewCmdUninstall(f, nil),
		status.NewCmdStatus(f, nil),
		doctor.NewCmdDoctor(f, nil),
		resources.NewCmdComponents(f, nil),
		resources.NewCmdConfigurations(f, nil),
		mtls.NewCmdMTLS(f, nil),
		image.NewCmdImage(f),
		versionCmd,
		buildinfo.NewCmdBuildInfo(f, nil),
	)
	add(cmd, "", completion.NewCmdCompletion(f), keep.NewCmdKeep(f))
	return cmd
}

func add(parent *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		parent.AddCommand(c)
	}
}

// bind sets the flags that were not given from the environment and the file.
func bind(cmd *cobra.Command, f *cmdutil.Factory) error {
	switch cmd.Name() {
	case cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return nil // a mistake in the file must not break the Tab key
	}
	err := cmdutil.BindFlags(cmd, f.Env, func() (string, error) {
		l, err := f.Layout()
		return l.CLIConfig(), err
	})
	if wrongUse := (*cmdutil.FlagError)(nil); err != nil && !errors.As(err, &wrongUse) {
		return &cmdutil.ExitError{Code: exitFailure, Err: err}
	}
	return err
}

// flagError says which flag was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return cmdutil.FlagErrorf("%w", cmdutil.ValueError(err))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := nearest.Name(unknown.GetSpecifiedName(), names); near != "" {
		return cmdutil.FlagErrorf("%w; did you mean --%s?", err, near)
	}
	return cmdutil.FlagErrorf("%w", err)
}

// Exit codes. Scripts know wrong use by its own code.
const (
	exitFailure     = 1
	exitInterrupted = 130
	exitWrongUse    = 255
)

// Main runs the CLI and returns its exit code. Signals are the requests to end
// the program: see Factory.TakeSignals.
func Main(ctx context.Context, args, env []string, streams *iostreams.IOStreams, signals <-chan os.Signal) int {
	f := cmdutil.NewFactory(env, streams)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var taken atomic.Bool
	forward := make(chan os.Signal, 4)
	f.TakeSignals = func() <-chan os.Signal {
		taken.Store(true)
		return forward
	}

	code := make(chan int, 1)
	go func() { code <- execute(ctx, f, NewCmdRoot(f), args) }()
	for {
		select {
		case c := <-code:
			return c
		case sig := <-signals:
			switch {
			case taken.Load():
				select {
				case forward <- sig:
				default: // enough of them are waiting
				}
			case ctx.Err() != nil:
				return exitInterrupted // the second one
			default:
				cancel()
			}
		}
	}
}

// execute runs one command line.
func execute(ctx context.Context, f *cmdutil.Factory, cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	started := false
	noteStart(cmd, &started)
	called, err := cmd.ExecuteContextC(ctx)

	exit, wrongUse := (*cmdutil.ExitError)(nil), (*cmdutil.FlagError)(nil)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Err != nil {
			f.Status.Failure("%v", exit.Err)
		}
		return exit.Code
	case errors.Is(err, cmdutil.ErrSilent):
		return exitFailure
	case errors.As(err, &wrongUse), !started:
		f.Status.Failure("%v", err)
		if !f.LogAsJSON {
			fmt.Fprintf(f.IOStreams.ErrOut, "Run %q for help.\n", called.CommandPath()+" --help")
		}
		return exitWrongUse
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	default:
		f.Status.Failure("%v", err)
		return exitFailure
	}
}

// noteStart tells errors of a command from those cobra has before it runs any:
// an unknown command, a missing flag, too many arguments.
func noteStart(cmd *cobra.Command, started *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		noteStart(sub, started)
	}
}
