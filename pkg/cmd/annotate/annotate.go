// Package annotate is the command "dapr annotate".
package annotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/manifest"
	"github.com/hyperdapr/dapr/pkg/quantity"
)

// settings are the flags that become annotations. What each does is said where
// the annotations are declared. An int of -1 stands for none.
var settings = []struct {
	flag, shorthand, annotation string
	value                       any // the default: string, int or bool
}{
	{"app-id", "a", "app-id", ""},
	{"app-port", "p", "app-port", -1},
	{"app-protocol", "", "app-protocol", ""},
	{"app-ssl", "", "app-ssl", false},
	{"app-max-concurrency", "", "app-max-concurrency", -1},
	{"app-token-secret", "", "app-token-secret", ""},
	{"api-token-secret", "", "api-token-secret", ""},
	{"config", "c", "config", ""},
	{"log-level", "", "log-level", ""},
	{"log-as-json", "", "log-as-json", false},
	{"enable-api-logging", "", "enable-api-logging", false},
	{"enable-profile", "", "enable-profiling", false},
	{"enable-metrics", "", "enable-metrics", false},
	{"metrics-port", "", "metrics-port", -1},
	{"enable-debug", "", "enable-debug", false},
	{"listen-addresses", "", "sidecar-listen-addresses", ""},
	{"max-body-size", "", "max-body-size", "4Mi"},
	{"read-buffer-size", "", "read-buffer-size", "4Ki"},
	{"http-stream-request-body", "", "http-stream-request-body", false},
	{"graceful-shutdown-seconds", "", "graceful-shutdown-seconds", -1},
	{"disable-builtin-k8s-secret-store", "", "disable-builtin-k8s-secret-store", false},
	{"placement-host-address", "", "placement-host-address", ""},
	{"unix-domain-socket-path", "", "unix-domain-socket-path", ""},
	{"dapr-image", "", "sidecar-image", ""},
	{"env", "", "env", ""},
	{"volume-mounts", "", "volume-mounts", ""},
	{"volume-mounts-rw", "", "volume-mounts-rw", ""},
	{"cpu-request", "", "sidecar-cpu-request", ""},
	{"cpu-limit", "", "sidecar-cpu-limit", ""},
	{"memory-request", "", "sidecar-memory-request", ""},
	{"memory-limit", "", "sidecar-memory-limit", ""},
	{"liveness-probe-delay", "", "sidecar-liveness-probe-delay-seconds", -1},
	{"liveness-probe-timeout", "", "sidecar-liveness-probe-timeout-seconds", -1},
	{"liveness-probe-period", "", "sidecar-liveness-probe-period-seconds", -1},
	{"liveness-probe-threshold", "", "sidecar-liveness-probe-threshold", -1},
	{"readiness-probe-delay", "", "sidecar-readiness-probe-delay-seconds", -1},
	{"readiness-probe-timeout", "", "sidecar-readiness-probe-timeout-seconds", -1},
	{"readiness-probe-period", "", "sidecar-readiness-probe-period-seconds", -1},
	{"readiness-probe-threshold", "", "sidecar-readiness-probe-threshold", -1},
}

type annotateOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer

	source      string
	resource    string
	namespace   string
	annotations map[string]string // by name without the prefix
}

// NewCmdAnnotate returns the command. runF, when not nil, runs in its place.
func NewCmdAnnotate(f *cmdutil.Factory, runF func(context.Context, *annotateOptions) error) *cobra.Command {
	if runF == nil {
		runF = annotateRun
	}
	opts := &annotateOptions{streams: f.IOStreams, status: f.Status}
	var kubernetes bool
	cmd := &cobra.Command{
		Use:   "annotate [flags] FILE|FOLDER|URL|-",
		Short: "Add the annotations for a sidecar to a Kubernetes manifest",
		Long: `Add the annotations that make a pod get a sidecar to a Kubernetes manifest, and
print it. The first object that has pods is annotated, or the one that --resource
names; everything else is printed as it was read. An app without an id gets the
id NAMESPACE-KIND-NAME.`,
		Example: `  # Annotate the first object with pods, and apply what is printed
  dapr annotate -k --app-id nodeapp --app-port 3000 node.yaml | kubectl apply -f -

  # The Deployment nodeapp in a folder of manifests
  dapr annotate -k -r nodeapp -n default --app-id nodeapp ./deploy

  # What is in the cluster already
  kubectl get deployment nodeapp -o yaml | dapr annotate -k --app-id nodeapp -`,
		Args: oneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !kubernetes {
				return cmdutil.FlagErrorf("annotations are for Kubernetes: add --kubernetes (-k)")
			}
			if opts.namespace != "" && opts.resource == "" {
				return cmdutil.FlagErrorf("--namespace %q says where an object is, but not which: add --resource", opts.namespace)
			}
			opts.source = args[0]
			var err error
			if opts.annotations, err = annotations(cmd.Flags()); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&kubernetes, "kubernetes", "k", false, "Annotate a manifest for Kubernetes (required)")
	flags.StringVarP(&opts.resource, "resource", "r", "", "Name of the object to annotate (default: the first that has pods)")
	flags.StringVarP(&opts.namespace, "namespace", "n", "", "Namespace of the object to annotate; needs --resource")
	for _, s := range settings {
		usage := about(s.annotation)
		switch value := s.value.(type) {
		case string:
			flags.StringP(s.flag, s.shorthand, value, usage)
		case int:
			flags.IntP(s.flag, s.shorthand, value, usage)
		case bool:
			flags.BoolP(s.flag, s.shorthand, value, usage)
		}
	}
	// Everywhere else it is about the CLI's own lines.
	cmdutil.CommandLineOnly(flags, "log-as-json")
	return cmd
}

func oneSource(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cmdutil.FlagErrorf("%q takes one file, folder or URL, or - for standard input, but was given %d", cmd.CommandPath(), len(args))
	}
	return nil
}

// about is a flag's line in the help, where back quotes would name its type.
func about(annotation string) string {
	a, _ := inject.Lookup(annotation)
	return strings.ReplaceAll(strings.ToUpper(a.About[:1])+a.About[1:], "`", "")
}

// annotations are what the flags say. The two sizes are always among them:
// readers of manifests are used to seeing them.
func annotations(flags *pflag.FlagSet) (map[string]string, error) {
	out := map[string]string{"enabled": "true"}
	for _, s := range settings {
		flag := flags.Lookup(s.flag)
		value := flag.Value.String()
		switch {
		case s.flag == "max-body-size" || s.flag == "read-buffer-size":
			n, err := quantity.Parse(value)
			if err != nil {
				return nil, cmdutil.FlagErrorf("invalid value for --%s: %w", s.flag, err)
			}
			value = strconv.FormatInt(n, 10)
		case !flag.Changed || value == "" || (s.value == -1 && value == "-1"):
			continue
		}
		a, _ := inject.Lookup(s.annotation)
		if err := a.Check(value); err != nil {
			if wrong := (*inject.AppIDError)(nil); errors.As(err, &wrong) {
				return nil, cmdutil.FlagErrorf("--app-id %q %s", wrong.ID, wrong.Fix)
			}
			return nil, cmdutil.FlagErrorf("invalid value %q for --%s: %w", value, s.flag, err)
		}
		out[s.annotation] = value
	}
	return out, nil
}

func annotateRun(ctx context.Context, opts *annotateOptions) error {
	docs, err := manifest.Read(ctx, opts.source, opts.streams.In)
	if err != nil {
		return err
	}
	object, err := find(docs, opts)
	if err != nil {
		return err
	}
	pod, err := object.Pod()
	if err != nil {
		return err
	}
	if opts.annotations["app-id"] == "" && inject.AppID(pod.Annotations) == "" {
		id := strings.ToLower(fmt.Sprintf("%s-%s-%s", cmp.Or(object.Namespace(), "default"), object.Kind(), object.Name()))
		if err := inject.CheckAppID(id); err != nil {
			return fmt.Errorf("%s needs an id of its own; give --app-id: %w", object, err)
		}
		opts.annotations["app-id"] = id
	}
	all := map[string]string{}
	for key, value := range pod.Annotations {
		all[key] = value
	}
	// In the order of their declaration.
	for _, a := range inject.Annotations() {
		value, given := opts.annotations[a.Name]
		if !given {
			continue
		}
		all[inject.Prefix+a.Name] = value
		if err := object.Annotate(inject.Prefix+a.Name, value); err != nil {
			return err
		}
	}
	_, warnings := inject.Read(all)
	for _, w := range warnings {
		opts.status.Line(opts.streams.ErrOut, cmdutil.Warning, fmt.Sprintf("%s: %s", object, w))
	}
	text, err := manifest.Join(docs)
	if err != nil {
		return err
	}
	_, err = opts.streams.Out.Write(text)
	return err
}

// find returns the object to annotate.
func find(docs []*manifest.Document, opts *annotateOptions) (*manifest.Object, error) {
	var others []string
	for _, d := range docs {
		for _, o := range d.Objects() {
			switch {
			case !o.HasPod():
			case opts.resource == "":
				return o, nil
			case o.Name() == opts.resource && (opts.namespace == "" || cmp.Or(o.Namespace(), "default") == opts.namespace):
				return o, nil
			default:
				others = append(others, o.String())
			}
		}
	}
	if len(others) == 0 {
		return nil, fmt.Errorf("nothing to annotate: there is no %s", strings.Join(manifest.PodKinds(), ", "))
	}
	return nil, fmt.Errorf("there is no object %q%s; there are %s", opts.resource, in(opts.namespace), strings.Join(others, ", "))
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return fmt.Sprintf(" in namespace %q", namespace)
}
