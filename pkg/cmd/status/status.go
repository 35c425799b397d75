// Package status is the command "dapr status".
package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type statusOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	kubernetes bool
	output     string
}

// NewCmdStatus returns the command. runF, when not nil, runs in its place.
func NewCmdStatus(f *cmdutil.Factory, runF func(context.Context, *statusOptions) error) *cobra.Command {
	if runF == nil {
		runF = statusRun
	}
	opts := &statusOptions{streams: f.IOStreams, status: f.Status, env: f.Env, layout: f.Layout, cluster: f.Cluster, now: f.Now}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the runtime is, on this machine or in a cluster",
		Long: `Show how the runtime on this machine is: its version, its folder, the state it
keeps, and how many apps run. With --kubernetes it shows the services of the
control plane in a cluster, and says why a pod is not ready.

It fails when there is no runtime.`,
		Example: `  dapr status
  dapr status --output json

  # The control plane in the current Kubernetes cluster
  dapr status --kubernetes`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Show the control plane in the current Kubernetes cluster")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.OutputFlag(cmd, &opts.output, "", "json", "yaml", "table")
	return cmd
}

// runtimeStatus is what the command shows.
type runtimeStatus struct {
	CLIVersion     string `json:"cliVersion"`
	RuntimeVersion string `json:"runtimeVersion"`
	Folder         string `json:"folder"`
	// StateBytes is the size of the default state store.
	StateBytes int64    `json:"stateBytes"`
	Apps       []string `json:"apps"`
}

func statusRun(ctx context.Context, opts *statusOptions) error {
	if opts.kubernetes {
		return clusterRun(ctx, opts)
	}
	l, err := opts.layout()
	if err != nil {
		return err
	}
	if !standalone.Initialised(l) {
		return fmt.Errorf("no runtime in %s; run \"dapr init\"", l.Root)
	}
	s, err := look(ctx, l, opts.env)
	if err != nil {
		return err
	}
	switch opts.output {
	case "json":
		return cmdutil.WriteJSON(opts.streams.Out, s)
	case "yaml":
		return cmdutil.WriteYAML(opts.streams.Out, s)
	default:
		return cmdutil.Table{
			Headers: []string{"RUNTIME_VERSION", "CLI_VERSION", "STATE", "APPS", "APP_IDS", "FOLDER"},
			Rows: [][]string{{
				s.RuntimeVersion, s.CLIVersion, size(s.StateBytes),
				strconv.Itoa(len(s.Apps)), strings.Join(s.Apps, ","), s.Folder,
			}},
		}.Write(opts.streams.Out)
	}
}

func look(ctx context.Context, l standalone.Layout, env cmdutil.Env) (runtimeStatus, error) {
	s := runtimeStatus{
		CLIVersion:     version.Version(),
		RuntimeVersion: standalone.RuntimeVersion(ctx, l, env),
		Folder:         l.Root,
		Apps:           []string{},
	}
	// What was written last is in the log beside the database.
	for _, file := range []string{l.StateDB(), l.StateDB() + "-wal"} {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("state store: %w", err)
		}
		s.StateBytes += info.Size()
	}
	running, err := instances.List(l.Instances())
	if err != nil {
		return s, err
	}
	for _, i := range running {
		s.Apps = append(s.Apps, i.AppID)
	}
	return s, nil
}

// size is a number of bytes for people.
func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%d KiB", bytes>>10)
	default:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
}
