// Package inject is the command "dapr inject".
package inject

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/inject"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/manifest"
	"github.com/hyperdapr/dapr/pkg/version"
)

type injectOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer

	source      string
	anchorsFile string
	settings    inject.Settings
}

// NewCmdInject returns the command. runF, when not nil, runs in its place.
func NewCmdInject(f *cmdutil.Factory, runF func(context.Context, *injectOptions) error) *cobra.Command {
	if runF == nil {
		runF = injectRun
	}
	opts := &injectOptions{streams: f.IOStreams, status: f.Status}
	opts.settings = inject.Defaults("ghcr.io/"+version.Owner+"/dapr:"+version.Version(), "dapr-system")
	s := &opts.settings
	var pullPolicy string
	cmd := &cobra.Command{
		Use:   "inject [flags] FILE|FOLDER|URL|-",
		Short: "Put the sidecar into the pods of a Kubernetes manifest",
		Long: `Print a Kubernetes manifest with the sidecar in its pods, just as the sidecar
injector puts it into them in a cluster: for seeing what it does, for reviews, and
for clusters that run no webhooks. Pods without the annotation dapr.io/enabled stay
as they are. Why each pod did or did not get a sidecar is told on standard error.

A pod that has its sidecar already is left alone by the injector.`,
		Example: `  # What would the injector do?
  dapr inject node.yaml | diff node.yaml -

  # Apply with the certificates that sidecars are to trust
  kubectl get configmap dapr-trust-bundle -n dapr-system -o jsonpath='{.data.ca\.crt}' > ca.crt
  dapr inject --trust-anchors ca.crt ./deploy | kubectl apply -f -

  # Annotate and inject
  dapr annotate -k --app-id nodeapp --app-port 3000 node.yaml | dapr inject -`,
		Args: oneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.source = args[0]
			s.ImagePullPolicy = corev1.PullPolicy(pullPolicy)
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Image, "image", s.Image, "Image of the sidecar")
	cmdutil.EnumVar(cmd, &pullPolicy, "image-pull-policy", "", string(corev1.PullIfNotPresent), "When to pull the image",
		string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever))
	flags.StringVarP(&s.Namespace, "namespace", "n", s.Namespace, "Namespace of the control plane")
	flags.StringVar(&s.ClusterDomain, "cluster-domain", s.ClusterDomain, "What the names of the cluster's services end with")
	flags.StringVar(&s.TrustDomain, "trust-domain", s.TrustDomain, "Trust domain of the control plane")
	flags.StringVar(&opts.anchorsFile, "trust-anchors", "", "File with the certificates that sidecars trust; required by a control plane with mTLS")
	flags.BoolVar(&s.MTLS, "enable-mtls", s.MTLS, "Sidecars prove who they are")
	flags.BoolVar(&s.Scheduler, "enable-scheduler", s.Scheduler, "The control plane has a scheduler")
	flags.BoolVar(&s.NativeSidecar, "native-sidecar", false, "Make the sidecar an init container that keeps running (Kubernetes 1.29 and later)")
	return cmd
}

func oneSource(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cmdutil.FlagErrorf("%q takes one file, folder or URL, or - for standard input, but was given %d", cmd.CommandPath(), len(args))
	}
	return nil
}

func injectRun(ctx context.Context, opts *injectOptions) error {
	if opts.anchorsFile != "" {
		anchors, err := os.ReadFile(opts.anchorsFile)
		if err != nil {
			return fmt.Errorf("--trust-anchors: %w", err)
		}
		opts.settings.TrustAnchors = string(anchors)
	}
	docs, err := manifest.Read(ctx, opts.source, opts.streams.In)
	if err != nil {
		return err
	}
	components, err := componentsOf(docs)
	if err != nil {
		return err
	}
	injected := 0
	for _, d := range docs {
		for _, o := range d.Objects() {
			if !o.HasPod() {
				continue
			}
			settings := opts.settings
			settings.Components = components[namespaceOf(o)]
			done, err := opts.inject(o, settings)
			if err != nil {
				return err
			}
			if done {
				injected++
			}
		}
	}
	if injected > 0 && opts.settings.MTLS && opts.settings.TrustAnchors == "" {
		opts.say(cmdutil.Warning, "the sidecars are to prove who they are, but do not know whom to trust: give --trust-anchors, or --enable-mtls=false")
	}
	text, err := manifest.Join(docs)
	if err != nil {
		return err
	}
	_, err = opts.streams.Out.Write(text)
	return err
}

// inject decides about the pod of one object, and says why.
func (opts *injectOptions) inject(o *manifest.Object, s inject.Settings) (done bool, err error) {
	pod, err := o.Pod()
	if err != nil {
		return false, err
	}
	result, err := inject.Pod(pod, s)
	for _, w := range result.Warnings {
		opts.say(cmdutil.Warning, fmt.Sprintf("%s: %s", o, w))
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("%s: %w", o, err)
	case !result.Inject:
		opts.say(cmdutil.Info, fmt.Sprintf("%s is left alone: %s", o, result.Reason))
		return false, nil
	}
	opts.say(cmdutil.Success, fmt.Sprintf("%s gets a sidecar: %s", o, result.Reason))
	return true, o.Patch(result.Patch)
}

// say prints to standard error: standard output is for the manifest.
func (opts *injectOptions) say(kind cmdutil.Status, line string) {
	opts.status.Line(opts.streams.ErrOut, kind, line)
}

func namespaceOf(o *manifest.Object) string { return cmp.Or(o.Namespace(), "default") }

// componentsOf collects the Components that stand beside the pods, by namespace.
func componentsOf(docs []*manifest.Document) (map[string][]inject.Component, error) {
	out := map[string][]inject.Component{}
	for _, d := range docs {
		for _, o := range d.Objects() {
			container := o.Annotations()[inject.Prefix+"component-container"]
			if o.Kind() != "Component" || container == "" {
				continue
			}
			var scoped struct {
				Scopes []string `json:"scopes"`
			}
			if err := o.Decode(&scoped); err != nil {
				return nil, err
			}
			out[namespaceOf(o)] = append(out[namespaceOf(o)], inject.Component{Name: o.Name(), Scopes: scoped.Scopes, Container: container})
		}
	}
	return out, nil
}
