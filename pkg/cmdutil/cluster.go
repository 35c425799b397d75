package cmdutil

import "github.com/spf13/cobra"

// ClusterFlags defines the flags that choose the cluster which f.Cluster
// connects to. Every command with --kubernetes has them.
func ClusterFlags(cmd *cobra.Command, f *Factory) {
	cmd.Flags().StringVar(&f.Kubeconfig, "kubeconfig", "", "File that says how to reach the cluster (default: the files of KUBECONFIG, else ~/.kube/config)")
	cmd.Flags().StringVar(&f.KubeContext, "context", "", "Context of the kubeconfig (default: its current one)")
}
