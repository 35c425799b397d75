// Package list is the command "dapr list".
package list

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type listOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	layout  func() (standalone.Layout, error)
	now     func() time.Time

	kubernetes bool
	output     string
	// notes are about the given flags that have no effect.
	notes []string
}

// accepted are flags for clusters.
var accepted = []cmdutil.Accepted{
	{Name: "all-namespaces", Shorthand: "A", Default: false, Why: "there are no namespaces on one machine"},
	{Name: "namespace", Default: "", Why: "there are no namespaces on one machine"},
}

// NewCmdList returns the command. runF, when not nil, runs in its place.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *listOptions) error) *cobra.Command {
	if runF == nil {
		runF = listRun
	}
	opts := &listOptions{streams: f.IOStreams, status: f.Status, layout: f.Layout, now: f.Now}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the apps that run on this machine",
		Long: `List the apps that run on this machine with their sidecars: those that "dapr
run" started, and sidecars that were started by other means. What was killed is
not listed.`,
		Example: `  dapr list
  dapr list --output json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.notes = cmdutil.WithoutEffect(cmd.Flags(), accepted)
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "List the apps in the current Kubernetes cluster (not in this version)")
	cmdutil.OutputFlag(cmd, &opts.output, "", "json", "yaml", "table")
	cmdutil.AcceptFlags(cmd.Flags(), accepted)
	return cmd
}

func listRun(_ context.Context, opts *listOptions) error {
	if opts.kubernetes {
		return errors.New("listing the apps of a Kubernetes cluster is not part of this version; run \"dapr list\" without --kubernetes for this machine")
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	running, err := standalone.List(l)
	if err != nil {
		return err
	}
	now := opts.now()
	for i := range running {
		running[i].Age = cmdutil.Age(now.Sub(running[i].Started))
		running[i].Created = running[i].Started.Local().Format(cmdutil.CreatedFormat)
	}
	switch opts.output {
	case "json":
		return cmdutil.WriteJSON(opts.streams.Out, running)
	case "yaml":
		return cmdutil.WriteYAML(opts.streams.Out, running)
	}
	for _, note := range opts.notes {
		opts.status.Info("%s", note)
	}
	if len(running) == 0 {
		fmt.Fprintln(opts.streams.Out, "No Dapr instances found.")
		return nil
	}
	return table(running).Write(opts.streams.Out)
}

func table(running []standalone.Instance) cmdutil.Table {
	t := cmdutil.Table{Headers: []string{
		"APP ID", "HTTP PORT", "GRPC PORT", "APP PORT", "COMMAND", "AGE", "CREATED", "DAPRD PID", "CLI PID", "APP PID",
		"RUN_TEMPLATE_PATH", "APP_LOG_PATH", "DAPRD_LOG_PATH", "RunTemplateName",
	}}
	for _, i := range running {
		t.Rows = append(t.Rows, []string{
			i.AppID, strconv.Itoa(i.HTTPPort), strconv.Itoa(i.GRPCPort), strconv.Itoa(i.AppPort), shorten(i.Command),
			i.Age, i.Created, strconv.Itoa(i.DaprdPID), strconv.Itoa(i.CLIPID), strconv.Itoa(i.AppPID),
			i.RunTemplatePath, i.AppLogPath, i.DaprdLogPath, i.RunTemplateName,
		})
	}
	return t
}

// shorten keeps a command's beginning, which tells most.
func shorten(command string) string {
	const longest = 20
	if runes := []rune(command); len(runes) > longest {
		return string(runes[:longest-3]) + "..."
	}
	return command
}
