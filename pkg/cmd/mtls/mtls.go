// Package mtls is the command "dapr mtls".
package mtls

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

type mtlsOptions struct {
	streams *iostreams.IOStreams
	status  *cmdutil.Printer
	cluster func() (*kubernetes.Client, error)
	now     func() time.Time

	kubernetes bool
	out        string
}

func newOptions(f *cmdutil.Factory) *mtlsOptions {
	return &mtlsOptions{streams: f.IOStreams, status: f.Status, cluster: f.Cluster, now: f.Now}
}

// NewCmdMTLS returns the command with its subcommands. runF, when not nil, runs
// in its place.
func NewCmdMTLS(f *cmdutil.Factory, runF func(context.Context, *mtlsOptions) error) *cobra.Command {
	if runF == nil {
		runF = mtlsRun
	}
	opts := newOptions(f)
	cmd := &cobra.Command{
		Use:   "mtls",
		Short: "Look after the identities of sidecars in a cluster",
		Long: `Tell whether the sidecars in a Kubernetes cluster prove to each other who they
are, with certificates of the cluster's own authority.`,
		Example: `  dapr mtls --kubernetes
  dapr mtls expiry
  dapr mtls renew-certificate --kubernetes`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needsCluster(opts.kubernetes); err != nil {
				return err
			}
			return runF(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Ask the current Kubernetes cluster (required)")
	cmdutil.ClusterFlags(cmd, f)
	cmd.AddCommand(NewCmdExport(f, nil), NewCmdExpiry(f, nil), NewCmdRenew(f, nil))
	return cmd
}

func needsCluster(given bool) error {
	if given {
		return nil
	}
	return cmdutil.FlagErrorf("certificates are a cluster's affair: give --kubernetes")
}

func mtlsRun(ctx context.Context, opts *mtlsOptions) error {
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	m, err := cluster.MTLS(ctx)
	if err != nil {
		return err
	}
	state := "disabled"
	if m.Enabled {
		state = "enabled"
	}
	// Scripts know the blank at the end.
	fmt.Fprintf(opts.streams.Out, "Mutual TLS is %s in your Kubernetes cluster \n", state)
	cmdutil.WarnOfExpiry(ctx, opts.status, "", cluster, opts.now())
	return nil
}

// bundle reads the certificate authority of the cluster.
func (opts *mtlsOptions) bundle(ctx context.Context) (*kubernetes.Client, kubernetes.MTLS, *kubernetes.TrustBundle, error) {
	cluster, err := opts.cluster()
	if err != nil {
		return nil, kubernetes.MTLS{}, nil, err
	}
	m, err := cluster.MTLS(ctx)
	if err != nil {
		return nil, m, nil, err
	}
	bundle, err := cluster.TrustBundle(ctx, m.Namespace)
	return cluster, m, bundle, err
}

// NewCmdExport returns the command "dapr mtls export". runF, when not nil, runs
// in its place.
func NewCmdExport(f *cmdutil.Factory, runF func(context.Context, *mtlsOptions) error) *cobra.Command {
	if runF == nil {
		runF = exportRun
	}
	opts := newOptions(f)
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the certificate authority of a cluster into files",
		Long: `Write the certificate authority of a Kubernetes cluster into the files ca.crt,
issuer.crt and issuer.key, which only their owner can read. Whoever has the key
can be any app: keep it safe.`,
		Example: `  dapr mtls export --out ./certs`,
		Args:    cmdutil.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), opts) },
	}
	cmd.Flags().StringVarP(&opts.out, "out", "o", ".", "Folder to write to; it is made when it is not there")
	_ = cmd.MarkFlagDirname("out") // it was defined above
	cmdutil.ClusterFlags(cmd, f)
	return cmd
}

func exportRun(ctx context.Context, opts *mtlsOptions) error {
	cluster, _, bundle, err := opts.bundle(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(opts.out, 0o700); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{authority.AnchorsKey, bundle.Anchors}, {authority.IssuerKey, bundle.Issuer}, {authority.SecretKey, bundle.Key}} {
		if err := atomicfile.WriteFile(filepath.Join(opts.out, file.name), file.data, 0o600); err != nil {
			return err
		}
	}
	path, err := filepath.Abs(opts.out)
	if err != nil {
		return err
	}
	opts.status.Success("Trust certs successfully exported to %s", path)
	cmdutil.WarnOfExpiry(ctx, opts.status, "", cluster, opts.now())
	return nil
}

// NewCmdExpiry returns the command "dapr mtls expiry". runF, when not nil, runs
// in its place.
func NewCmdExpiry(f *cmdutil.Factory, runF func(context.Context, *mtlsOptions) error) *cobra.Command {
	if runF == nil {
		runF = expiryRun
	}
	opts := newOptions(f)
	cmd := &cobra.Command{
		Use:   "expiry",
		Short: "Tell when the root certificate of a cluster expires",
		Long: `Tell when the root certificate of a Kubernetes cluster expires. That it cannot be
told is said on the error output, and does not make the command fail: for a check
that does there is "dapr doctor --kubernetes".`,
		Example: `  dapr mtls expiry`,
		Args:    cmdutil.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), opts) },
	}
	cmdutil.ClusterFlags(cmd, f)
	return cmd
}

func expiryRun(ctx context.Context, opts *mtlsOptions) error {
	at, err := opts.rootExpiry(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		// Scripts of the other Dapr know that this does not make the command fail.
		opts.status.Failure("%v", err)
		return nil
	}
	fmt.Fprintf(opts.streams.Out, "Root certificate expires in %d hours. Expiry date: %s\n", int(at.Sub(opts.now()).Hours()), at.UTC())
	return nil
}

func (opts *mtlsOptions) rootExpiry(ctx context.Context) (time.Time, error) {
	_, _, bundle, err := opts.bundle(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return bundle.RootExpiry()
}
