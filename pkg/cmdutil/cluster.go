package cmdutil

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// ClusterFlags defines the flags that choose the cluster which f.Cluster
// connects to. Every command with --kubernetes has them.
func ClusterFlags(cmd *cobra.Command, f *Factory) {
	cmd.Flags().StringVar(&f.Kubeconfig, "kubeconfig", "", "File that says how to reach the cluster (default: the files of KUBECONFIG, else ~/.kube/config)")
	cmd.Flags().StringVar(&f.KubeContext, "context", "", "Context of the kubeconfig (default: its current one)")
}

// WarnOfExpiry is the last thing a command about a cluster does: it prints what
// cluster says when the root certificate expires soon. output is the command's
// format: what programs read is not mixed with words.
func WarnOfExpiry(ctx context.Context, p *Printer, output string, cluster interface {
	ExpiryWarning(ctx context.Context, now time.Time) string
}, now time.Time,
) {
	text := cluster.ExpiryWarning(ctx, now)
	if text == "" {
		return
	}
	w := p.streams.Out
	if output == "json" || output == "yaml" {
		w = p.streams.ErrOut
	}
	if output == "json" {
		fmt.Fprintln(w) // what WriteJSON leaves out
	}
	p.Line(w, Warning, text)
}
