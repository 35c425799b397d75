package status

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
	"github.com/hyperdapr/dapr/pkg/version"
)

// serviceStatus is a row of what the command shows of a cluster.
type serviceStatus struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Healthy   string `json:"healthy"`
	Status    string `json:"status"`
	Replicas  int    `json:"replicas"`
	Version   string `json:"version"`
	Age       string `json:"age"`
	Created   string `json:"created"`
}

func clusterRun(ctx context.Context, opts *statusOptions) error {
	cluster, err := opts.cluster()
	if err != nil {
		return err
	}
	services, err := cluster.ControlPlane(ctx)
	if err != nil {
		return err
	}
	if len(services) == 0 {
		return fmt.Errorf("no control plane in %s; run \"dapr init -k\"", cluster)
	}
	rows := make([]serviceStatus, 0, len(services))
	for _, s := range services {
		rows = append(rows, serviceStatus{
			Name: s.Name, Namespace: s.Namespace, Status: s.Status, Replicas: s.Replicas, Version: s.Version,
			Healthy: healthy(s.Healthy),
			Age:     cmdutil.Age(opts.now().Sub(s.Created)),
			Created: s.Created.Local().Format(cmdutil.CreatedFormat),
		})
	}
	if err := show(opts, rows, services); err != nil {
		return err
	}
	cmdutil.WarnOfExpiry(ctx, opts.status, opts.output, cluster, opts.now())
	return nil
}

func show(opts *statusOptions, rows []serviceStatus, services []kubernetes.Service) error {
	switch opts.output {
	case "json":
		return cmdutil.WriteJSON(opts.streams.Out, rows)
	case "yaml":
		return cmdutil.WriteYAML(opts.streams.Out, rows)
	}
	if err := serviceTable(rows).Write(opts.streams.Out); err != nil {
		return err
	}
	// The table has no room for the reasons.
	for _, s := range services {
		for _, trouble := range s.Troubles {
			opts.status.Warning("%s", trouble)
		}
	}
	if text := kubernetes.SkewWarning(services, version.Version()); text != "" {
		opts.status.Warning("%s", text)
	}
	return nil
}

// healthy is the word that scripts look for.
func healthy(yes bool) string {
	if yes {
		return "True"
	}
	return "False"
}

func serviceTable(rows []serviceStatus) cmdutil.Table {
	t := cmdutil.Table{Headers: []string{"NAME", "NAMESPACE", "HEALTHY", "STATUS", "REPLICAS", "VERSION", "AGE", "CREATED"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.Name, r.Namespace, r.Healthy, r.Status, strconv.Itoa(r.Replicas), r.Version, r.Age, r.Created})
	}
	return t
}
