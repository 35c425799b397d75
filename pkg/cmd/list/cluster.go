package list

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

// clusterApp is a row of what the command shows of a cluster.
type clusterApp struct {
	Namespace string `json:"namespace"`
	AppID     string `json:"appId"`
	AppPort   int    `json:"appPort"`
	Age       string `json:"age"`
	Created   string `json:"created"`
}

func clusterRun(ctx context.Context, opts *listOptions) error {
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	apps, err := cluster.Apps(ctx, opts.namespace)
	if err != nil {
		return err
	}
	if err := show(opts, apps); err != nil {
		return err
	}
	cmdutil.WarnOfExpiry(ctx, opts.status, opts.output, cluster, opts.now())
	return nil
}

func show(opts *listOptions, apps []kubernetes.App) error {
	rows := make([]clusterApp, 0, len(apps))
	for _, app := range apps {
		port, _ := strconv.Atoi(app.Port) // 0 without one
		rows = append(rows, clusterApp{
			Namespace: app.Namespace, AppID: app.ID, AppPort: port,
			Age: cmdutil.Age(opts.now().Sub(app.Created)), Created: app.Created.Local().Format(cmdutil.CreatedFormat),
		})
	}
	switch opts.output {
	case "json":
		return cmdutil.WriteJSON(opts.streams.Out, rows)
	case "yaml":
		return cmdutil.WriteYAML(opts.streams.Out, rows)
	}
	if len(rows) == 0 {
		fmt.Fprintln(opts.streams.Out, "No Dapr instances found.")
		return nil
	}
	t := cmdutil.Table{Headers: []string{"NAMESPACE", "APP ID", "APP PORT", "AGE", "CREATED"}}
	for i, r := range rows {
		t.Rows = append(t.Rows, []string{r.Namespace, r.AppID, apps[i].Port, r.Age, r.Created})
	}
	return t.Write(opts.streams.Out)
}
