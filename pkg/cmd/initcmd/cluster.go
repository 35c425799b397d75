package initcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/version"
)

// clusterOptions are the flags that count with --kubernetes.
type clusterOptions struct {
	namespace string
	wait      bool
	// timeout is in seconds.
	timeout  int
	ha, mtls bool
	dev      bool
	registry string
	variant  string
	set      []string
	ca       cmdutil.CAFiles
}

func (o *clusterOptions) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.namespace, "namespace", "n", controlplane.DefaultNamespace, "With -k: namespace to install into; it is created when it is not there")
	flags.BoolVar(&o.wait, "wait", false, "With -k: wait until all pods are ready")
	flags.IntVar(&o.timeout, "timeout", 300, "With -k: seconds that the installation may take")
	flags.BoolVar(&o.ha, "enable-ha", false, "With -k: run three pods of each service")
	flags.BoolVar(&o.mtls, "enable-mtls", true, "With -k: let sidecars prove who they are, and encrypt what they say to each other")
	flags.BoolVar(&o.dev, "dev", false, "With -k: create resources to try things out with")
	cmdutil.RegistryFlag(flags, &o.registry)
	cmdutil.VariantFlag(flags, &o.variant)
	flags.StringArrayVar(&o.set, "set", nil, "With -k: value of the chart, as name=value (repeatable)")
	o.ca.Define(cmd)
}

// check refuses what cannot be right before anything else is done.
func (opts *initOptions) check() error {
	o := &opts.cluster
	if err := cmdutil.CheckVersion(opts.version, version.Version()); err != nil {
		return err
	}
	if err := cmdutil.CheckVariant(o.variant); err != nil {
		return err
	}
	if o.timeout < 1 {
		return cmdutil.FlagErrorf("--timeout is %d, but must be 1 second or more", o.timeout)
	}
	return o.ca.Check()
}

func clusterRun(ctx context.Context, opts *initOptions) error {
	o := &opts.cluster
	values, err := o.values(opts.now())
	if err != nil {
		return err
	}
	controlPlane, err := opts.controlPlane()
	if err != nil {
		return err
	}
	opts.status.Pending("Making the jump to hyperspace...")
	for _, note := range opts.notes {
		opts.status.Info("%s", note)
	}
	opts.status.Info("Installing into %s", controlPlane.Cluster)
	err = controlPlane.Install(ctx, controlplane.InstallOptions{
		Namespace: o.namespace,
		Values:    values,
		Wait:      o.wait,
		Timeout:   time.Duration(o.timeout) * time.Second,
		Dev:       o.dev,
	}, opts.status)
	if err != nil {
		return err
	}
	opts.status.Success("Success! The control plane is installed in the namespace %s. To verify: dapr status -k", o.namespace)
	opts.status.Info("To get started: https://github.com/%s/dapr/blob/main/docs/kubernetes.md", version.Owner)
	return nil
}

// values are the flags as values of the chart. Those of --set go before those of
// other flags, but for the certificates.
func (o *clusterOptions) values(now time.Time) (helm.Values, error) {
	v := helm.Values{}
	v.Put(o.ha, "global", "ha", "enabled")
	v.Put(o.mtls, "global", "mtls", "enabled")
	if o.registry != "" {
		registry, err := cmdutil.Registry(o.registry)
		if err != nil {
			return nil, err
		}
		v.Put(registry, "global", "registry")
	}
	for _, expression := range o.set {
		if err := v.Set(expression); err != nil {
			return nil, cmdutil.FlagErrorf("--set: %w", err)
		}
	}
	if !o.ca.Given() {
		return v, nil
	}
	bundle, err := o.ca.Read()
	if err != nil {
		return nil, err
	}
	if _, err := authority.Parse(bundle, now); err != nil {
		return nil, fmt.Errorf("the certificates that were given: %w", err)
	}
	v.Put(strings.TrimSpace(string(bundle.Anchors))+"\n", "dapr_sentry", "tls", "root", "certPEM")
	v.Put(strings.TrimSpace(string(bundle.Issuer))+"\n", "dapr_sentry", "tls", "issuer", "certPEM")
	v.Put(strings.TrimSpace(string(bundle.Key))+"\n", "dapr_sentry", "tls", "issuer", "keyPEM")
	return v, nil
}
