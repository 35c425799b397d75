// Package resources is the commands "dapr components" and "dapr
// configurations".
package resources

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

type resourcesOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	kind          kind
	kubernetes    bool
	allNamespaces bool
	namespace     string
	name          string
	output        string
}

// kind is what the two commands differ in.
type kind struct {
	// plural is the command's name too.
	plural  string
	headers []string
	row     func(r kubernetes.Resource, created, age string) []string
}

// NewCmdComponents returns the command "dapr components". runF, when not nil,
// runs in its place.
func NewCmdComponents(f *cmdutil.Factory, runF func(context.Context, *resourcesOptions) error) *cobra.Command {
	return newCmd(f, runF, kind{
		plural:  kubernetes.Components,
		headers: []string{"Namespace", "Name", "Type", "VERSION", "SCOPES", "CREATED", "AGE"},
		row: func(r kubernetes.Resource, created, age string) []string {
			of, _, _ := unstructured.NestedString(r.Spec, "type")
			version, _, _ := unstructured.NestedString(r.Spec, "version")
			return []string{r.Namespace, r.Name, of, version, strings.Join(r.Scopes, ","), created, age}
		},
	})
}

// NewCmdConfigurations returns the command "dapr configurations". runF, when not
// nil, runs in its place.
func NewCmdConfigurations(f *cmdutil.Factory, runF func(context.Context, *resourcesOptions) error) *cobra.Command {
	return newCmd(f, runF, kind{
		plural:  kubernetes.Configurations,
		headers: []string{"Namespace", "Name", "TRACING-ENABLED", "METRICS-ENABLED", "AGE", "CREATED"},
		row: func(r kubernetes.Resource, created, age string) []string {
			return []string{r.Namespace, r.Name, strconv.FormatBool(traces(r.Spec)), strconv.FormatBool(measures(r.Spec)), age, created}
		},
	})
}

// traces tells whether a Configuration samples calls.
func traces(spec map[string]any) bool {
	rate, _, _ := unstructured.NestedString(spec, "tracing", "samplingRate")
	share, err := strconv.ParseFloat(rate, 64)
	return err == nil && share > 0
}

// measures tells whether a Configuration leaves the metrics on, as they are
// without one. Of the section's two names the plural goes first.
func measures(spec map[string]any) bool {
	for _, section := range []string{"metrics", "metric"} {
		if on, found, _ := unstructured.NestedBool(spec, section, "enabled"); found {
			return on
		}
	}
	return true
}

func newCmd(f *cmdutil.Factory, runF func(context.Context, *resourcesOptions) error, k kind) *cobra.Command {
	if runF == nil {
		runF = resourcesRun
	}
	opts := &resourcesOptions{streams: f.IOStreams, status: f.Status, cluster: f.Cluster, now: f.Now, kind: k}
	one := strings.TrimSuffix(k.plural, "s")
	cmd := &cobra.Command{
		Use:   k.plural,
		Short: "List the " + k.plural + " in a Kubernetes cluster",
		Long: "List the " + k.plural + ` in a Kubernetes cluster: those of all namespaces, or of the
one given. As JSON and YAML they have their whole specification.`,
		Example: "  dapr " + k.plural + ` --kubernetes
  dapr ` + k.plural + " --kubernetes --namespace shop --name my" + one + " --output yaml",
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !opts.kubernetes {
				return cmdutil.FlagErrorf("the %s of a cluster are listed with --kubernetes; on one machine they are files, in ~/.dapr/components or in the folders of --resources-path", k.plural)
			}
			if opts.allNamespaces && opts.namespace != "" {
				return cmdutil.FlagErrorf("--all-namespaces and --namespace are both given: choose one")
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "List those in the current Kubernetes cluster (required)")
	flags.StringVar(&opts.namespace, "namespace", "", "List those in this namespace only")
	flags.BoolVarP(&opts.allNamespaces, "all-namespaces", "A", false, "List those in all namespaces, as without --namespace")
	flags.StringVarP(&opts.name, "name", "n", "", "List the one with this name only")
	cmdutil.ClusterFlags(cmd, f)
	cmdutil.OutputFlag(cmd, &opts.output, "list", "list", "json", "yaml")
	return cmd
}

// item is a resource as programs read it.
type item struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Spec      map[string]any `json:"spec"`
}

func resourcesRun(ctx context.Context, opts *resourcesOptions) error {
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	all, err := cluster.Resources(ctx, opts.kind.plural, opts.namespace)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r kubernetes.Resource) bool {
		return r.Name == kubernetes.SystemConfiguration || opts.name != "" && r.Name != opts.name
	})
	if err := show(opts, all); err != nil {
		return err
	}
	cmdutil.WarnOfExpiry(ctx, opts.status, opts.output, cluster, opts.now())
	return nil
}

func show(opts *resourcesOptions, all []kubernetes.Resource) error {
	if opts.output != "list" {
		items := make([]item, 0, len(all))
		for _, r := range all {
			items = append(items, item{r.Namespace, r.Name, r.Spec})
		}
		if opts.output == "json" {
			return cmdutil.WriteJSON(opts.streams.Out, items)
		}
		return cmdutil.WriteYAML(opts.streams.Out, items)
	}
	t := cmdutil.Table{Headers: opts.kind.headers}
	for _, r := range all {
		t.Rows = append(t.Rows, opts.kind.row(r, r.Created.Local().Format(cmdutil.CreatedFormat), cmdutil.Age(opts.now().Sub(r.Created))))
	}
	return t.Write(opts.streams.Out)
}
