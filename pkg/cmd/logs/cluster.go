package logs

import (
	"context"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

func clusterRun(ctx context.Context, opts *logsOptions) error {
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	app, err := cluster.FindApp(ctx, opts.namespace, opts.logs.AppID, opts.pod)
	if err != nil {
		return err
	}
	err = cluster.SidecarLogs(ctx, app, opts.streams.Out, kubernetes.LogOptions{Follow: opts.logs.Follow, Tail: opts.logs.Tail})
	if err != nil {
		return err
	}
	opts.status.Success("Fetched logs")
	cmdutil.WarnOfExpiry(ctx, opts.status, "", cluster, opts.now())
	return nil
}
