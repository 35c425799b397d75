// Package list is the command "dapr list".
package list

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
)

type listOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	layout  func() (standalone.Layout, error)
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	kubernetes    bool
	allNamespaces bool
	namespace     string
	output        string
}

// NewCmdList returns the command. runF, when not nil, runs in its place.
func NewCmdList(f *cmdutil.Factory, runF func(context.Context, *listOptions) error) *cobra.Command {
	if runF == nil {
		runF = listRun
	}
	opts := &listOptions{streams: f.IOStreams, status: f.Status, layout: f.Layout, cluster: f.Cluster, now: f.Now}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the apps that run, on this machine or in a cluster",
		Long: `List the apps that run on this machine with their sidecars: those that "dapr
run" started, and sidecars that were started by other means. What was killed is
not listed.

With --kubernetes it lists the pods with a sidecar in a cluster: those of all
namespaces, or of the one given.`,
		Example: `  dapr list
  dapr list --output json

  # The apps in the current Kubernetes cluster
  dapr list --kubernetes
  dapr list --kubernetes --namespace shop`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.allNamespaces && opts.namespace != "" {
				return cmdutil.FlagErrorf("--all-namespaces and --namespace are both given: choose one")
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "List the apps in the current Kubernetes cluster")
	flags.StringVar(&opts.namespace, "namespace", "", "List the apps in this namespace only; needs --kubernetes")
	flags.BoolVarP(&opts.allNamespaces, "all-namespaces", "A", false, "List the apps in all namespaces, as without --namespace; needs --kubernetes")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.OutputFlag(cmd, &opts.output, "", "json", "yaml", "table")
	return cmd
}

func listRun(ctx context.Context, opts *listOptions) error {
	if opts.kubernetes {
		return clusterRun(ctx, opts)
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
	if opts.namespace != "" || opts.allNamespaces {
		opts.status.Info("There are no namespaces on one machine; give --kubernetes for a cluster")
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
