// Package doctor is the command "dapr doctor".
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/doctor"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/standalone"
	"github.com/hyperdapr/dapr/pkg/version"
)

type doctorOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	env     cmdutil.Env
	layout  func() (standalone.Layout, error)
	source  func() (standalone.Source, error)
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	kubernetes bool
	fix        bool
	output     string
}

// NewCmdDoctor returns the command. runF, when not nil, runs in its place.
func NewCmdDoctor(f *cmdutil.Factory, runF func(context.Context, *doctorOptions) error) *cobra.Command {
	if runF == nil {
		runF = doctorRun
	}
	opts := &doctorOptions{
		streams: f.IOStreams, status: f.Status, env: f.Env, layout: f.Layout, source: f.Source, cluster: f.Cluster, now: f.Now,
	}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong, and how to mend it",
		Long: `Examine the runtime on this machine: its folder, programs and resources, ports,
what killed programs have left, and what of the machine apps and sidecars need.
Nothing leaves the machine.

With --kubernetes, examine a cluster: the services of the control plane, versions,
certificates, CustomResourceDefinitions, whether pods get their sidecars, and what
components name. Nothing is changed in it unless --fix is given, too.

Each finding says what is there, what follows from it, and how to mend it. With
--fix, what can be mended without losing anything is, and everything is examined
again.

The exit code is 1 when there are errors; warnings do not count.`,
		Example: `  dapr doctor
  dapr doctor --fix

  # The current Kubernetes cluster
  dapr doctor --kubernetes

  # For programs
  dapr doctor --output json`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Examine the current Kubernetes cluster")
	cmd.Flags().BoolVar(&opts.fix, "fix", false, "Mend what can be mended without losing anything, and examine again")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.OutputFlag(cmd, &opts.output, "", "json", "yaml", "table")
	return cmd
}

// report is what the command shows.
type report struct {
	// Scope is what was examined.
	Scope    string           `json:"scope"`
	Findings []doctor.Finding `json:"findings"`
	// Repaired is what --fix did before the findings were made.
	Repaired []doctor.Repaired `json:"repaired"`
	Summary  doctor.Summary    `json:"summary"`
}

func doctorRun(ctx context.Context, opts *doctorOptions) error {
	scope, examine, err := opts.patient()
	if err != nil {
		return err
	}
	r := report{Scope: scope, Findings: examine(ctx), Repaired: []doctor.Repaired{}}
	if opts.fix {
		if r.Repaired = doctor.Repair(ctx, r.Findings); len(r.Repaired) > 0 {
			r.Findings = examine(ctx)
		} else {
			r.Repaired = []doctor.Repaired{}
		}
	}
	if err := ctx.Err(); err != nil {
		return err // half of the findings would look like all of them
	}
	r.Summary = doctor.Summarize(r.Findings)
	if err := opts.show(r); err != nil {
		return err
	}
	if r.Summary.Errors > 0 {
		return cmdutil.ErrSilent
	}
	return nil
}

// patient is what is examined, and how.
func (opts *doctorOptions) patient() (scope string, examine func(context.Context) []doctor.Finding, err error) {
	if opts.kubernetes {
		return "cluster", opts.examineCluster(), nil
	}
	l, err := opts.layout()
	if err != nil {
		return "", nil, err
	}
	source, err := opts.source()
	if err != nil {
		return "", nil, err
	}
	return "machine", doctor.ThisMachine(l, source, opts.env, opts.env.Get, opts.now).Examine, nil
}

// examineCluster makes a finding of a kubeconfig that names no cluster, so that
// programs read of it where they read of everything else.
func (opts *doctorOptions) examineCluster() func(context.Context) []doctor.Finding {
	client, err := opts.cluster()
	if err != nil {
		return func(context.Context) []doctor.Finding { return []doctor.Finding{doctor.Unreachable(err)} }
	}
	cluster := &doctor.Cluster{Client: client, ControlPlane: controlplane.Of(client), Version: version.Version(), Now: opts.now}
	return cluster.Examine
}

func (opts *doctorOptions) show(r report) error {
	switch opts.output {
	case "json":
		return cmdutil.WriteJSON(opts.streams.Out, r)
	case "yaml":
		return cmdutil.WriteYAML(opts.streams.Out, r)
	case "table":
		t := cmdutil.Table{Headers: []string{"CHECK", "LEVEL", "FOUND", "FIX"}}
		for _, f := range r.Findings {
			t.Rows = append(t.Rows, []string{f.Check, string(f.Level), f.Found, f.Fix})
		}
		return t.Write(opts.streams.Out)
	}
	for _, done := range r.Repaired {
		if done.Error != "" {
			opts.line(cmdutil.Failure, "%s: could not be mended: %s", done.Check, done.Error)
			continue
		}
		opts.line(cmdutil.Success, "%s: %s", done.Check, done.Done)
	}
	for _, f := range r.Findings {
		opts.line(kinds[f.Level], "%s: %s%s%s", f.Check, f.Found, opts.more("", f.Why), opts.more("to mend it: ", f.Fix))
	}
	opts.line(verdict(r.Summary), "%s", sentence(r.Summary, opts.fix))
	return nil
}

// kinds are the status lines of the levels.
var kinds = map[doctor.Level]cmdutil.Status{
	doctor.OK: cmdutil.Success, doctor.Info: cmdutil.Info, doctor.Warning: cmdutil.Warning, doctor.Error: cmdutil.Failure,
}

// line prints a status line. All go to the output stream: a report is one piece,
// also in a file.
func (opts *doctorOptions) line(kind cmdutil.Status, format string, args ...any) {
	opts.status.Line(opts.streams.Out, kind, fmt.Sprintf(format, args...))
}

// more continues a status line below it.
func (opts *doctorOptions) more(label, text string) string {
	switch {
	case text == "":
		return ""
	case opts.status.AsJSON():
		return "; " + label + text
	}
	return "\n      " + label + text
}

func verdict(s doctor.Summary) cmdutil.Status {
	switch {
	case s.Errors > 0:
		return cmdutil.Failure
	case s.Warnings > 0:
		return cmdutil.Warning
	}
	return cmdutil.Success
}

// sentence sums the findings up.
func sentence(s doctor.Summary, fixed bool) string {
	if s.Errors+s.Warnings == 0 {
		return "Nothing is wrong"
	}
	text := fmt.Sprintf("%s, %s", number(s.Errors, "error"), number(s.Warnings, "warning"))
	if s.Fixable > 0 && !fixed {
		text += fmt.Sprintf("; --fix mends %d of them", s.Fixable)
	}
	return text
}

func number(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
