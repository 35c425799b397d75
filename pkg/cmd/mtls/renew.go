package mtls

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
)

type renewOptions struct {
	*mtlsOptions

	ca cmdutil.CAFiles
	// rootKey is a file.
	rootKey   string
	validDays int
	restart   bool
	// timeout is in seconds.
	timeout int
}

// NewCmdRenew returns the command "dapr mtls renew-certificate". runF, when not
// nil, runs in its place.
func NewCmdRenew(f *cmdutil.Factory, runF func(context.Context, *renewOptions) error) *cobra.Command {
	if runF == nil {
		runF = renewRun
	}
	opts := &renewOptions{mtlsOptions: newOptions(f)}
	cmd := &cobra.Command{
		Use:     "renew-certificate",
		Aliases: []string{"renew-cert", "rnc"},
		Short:   "Give a cluster another root certificate",
		Long: `Give a Kubernetes cluster another root certificate and another issuer: new ones,
or those of your own that are given in three files.

Nothing has to be restarted. The old root goes on being trusted until it expires,
and the old issuer vouches for the new one, so that sidecars which know only the
old root trust those that know the new one. Every sidecar takes the new root when
it renews its own certificate.`,
		Example: `  dapr mtls renew-certificate --kubernetes --valid-until 365

  # A new root with a key that you keep
  dapr mtls renew-certificate --kubernetes --private-key root.key

  # A certificate authority of your own
  dapr mtls renew-certificate --kubernetes --ca-root-certificate ca.crt --issuer-public-certificate issuer.crt --issuer-private-key issuer.key`,
		Args: cmdutil.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needsCluster(opts.kubernetes); err != nil {
				return err
			}
			if err := opts.check(); err != nil {
				return err
			}
			for _, note := range cmdutil.WithoutEffect(cmd.Flags(), accepted) {
				opts.status.Info("%s", note)
			}
			return runF(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opts.kubernetes, "kubernetes", "k", false, "Change the current Kubernetes cluster (required)")
	opts.ca.Define(cmd)
	flags.StringVar(&opts.rootKey, "private-key", "", "File with the private key of the new root (default: one that is thrown away once it has signed the issuer)")
	flags.IntVar(&opts.validDays, "valid-until", 365, "Days until new certificates expire")
	flags.BoolVar(&opts.restart, "restart", false, "Restart the control plane too, and wait until it is ready")
	flags.IntVar(&opts.timeout, "timeout", 300, "Seconds to wait at most")
	cmdutil.AcceptFlags(flags, accepted)
	cmdutil.ClusterFlags(cmd, f)
	return cmd
}

// accepted are flags that change nothing.
var accepted = []cmdutil.Accepted{
	{Name: "image-variant", Default: "", Why: "there is one image, and it stays as it is"},
}

func (opts *renewOptions) check() error {
	switch {
	case opts.validDays < 1:
		return cmdutil.FlagErrorf("--valid-until is %d, but must be 1 day or more", opts.validDays)
	case opts.timeout < 1:
		return cmdutil.FlagErrorf("--timeout is %d, but must be 1 second or more", opts.timeout)
	case opts.rootKey != "" && opts.ca.Given():
		return cmdutil.FlagErrorf("--private-key is for a new root: leave it out, or the files of a certificate authority of your own")
	}
	return opts.ca.Check()
}

func renewRun(ctx context.Context, opts *renewOptions) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(opts.timeout)*time.Second)
	defer cancel()
	cluster, m, old, err := opts.bundle(ctx)
	if err != nil {
		return err
	}
	next, err := opts.next(m, old.Bundle)
	if err != nil {
		return err
	}
	done := opts.status.Spin("Replacing the certificates of " + cluster.String())
	err = cluster.ReplaceTrust(ctx, old, next)
	done(err)
	if err != nil {
		return err
	}
	if opts.restart {
		err := cluster.Restart(ctx, m.Namespace, opts.now(), kubernetes.Watcher{
			Begin: func(w kubernetes.Workload) func(error) { return opts.status.Spin("Restarting " + w.Name) },
			Note:  func(t kubernetes.Trouble) { opts.status.Warning("%s", t) },
		})
		if err != nil {
			return err
		}
	}
	at, err := (&kubernetes.TrustBundle{Bundle: next}).RootExpiry()
	if err != nil {
		return err
	}
	opts.status.Success("Certificate rotation is successful! Your new certificate is valid through %s", at.UTC().Format(time.RFC1123))
	return nil
}

// next makes or reads the material that replaces the old. When the old has
// expired, nothing leads from it to the new.
func (opts *renewOptions) next(m kubernetes.MTLS, old authority.Bundle) (authority.Bundle, error) {
	o := authority.Options{
		ID:  security.ID{TrustDomain: m.TrustDomain, Namespace: m.Namespace, AppID: security.Sentry},
		Now: opts.now(), ClockSkew: m.ClockSkew, Lifetime: time.Duration(opts.validDays) * 24 * time.Hour,
	}
	_, unusable := authority.Parse(old, o.Now)
	if unusable != nil {
		opts.status.Warning("The certificates in use cannot vouch for the new ones (%v): restart the apps too", unusable)
	}
	if opts.rootKey != "" {
		text, err := os.ReadFile(opts.rootKey)
		if err != nil {
			return authority.Bundle{}, fmt.Errorf("--private-key: %w", err)
		}
		if o.RootKey, err = authority.ParseKey(text); err != nil {
			return authority.Bundle{}, fmt.Errorf("--private-key: %s: %w", opts.rootKey, err)
		}
	}
	if !opts.ca.Given() {
		if unusable != nil {
			return authority.New(o)
		}
		return authority.Rotate(old, o)
	}
	given, err := opts.ca.Read()
	if err != nil {
		return authority.Bundle{}, err
	}
	if unusable != nil {
		_, err := authority.Parse(given, o.Now)
		return given, err
	}
	return authority.Adopt(old, given, o)
}
