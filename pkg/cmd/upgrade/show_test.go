package upgrade

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/controlplane"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

func TestShow(t *testing.T) {
	sentry := controlplane.ObjectChange{Action: kubernetes.Change, Kind: "Deployment", Name: "dapr-sentry"}
	for name, tt := range map[string]struct {
		plan *controlplane.Plan
		want string
	}{
		"another version": {
			&controlplane.Plan{
				Namespace: "dapr-system", From: "1.2.3", To: "1.3.0",
				Images: []controlplane.ImageChange{
					{Of: "dapr-operator/dapr-operator", From: "r/dapr:1.2.3", To: "r/dapr:1.3.0"},
					{Of: "other", From: "r/other:1", To: "r/dapr:1.3.0"},
					{Of: "sidecars of new pods", From: "r/dapr:1.2.3", To: "r/dapr:1.3.0"},
				},
				CRDs: []kubernetes.CRDChange{
					{Name: "components.dapr.io", Versions: []string{"v1alpha1"}, Action: kubernetes.Keep},
					{Name: "mcpservers.dapr.io", Versions: []string{"v1alpha1"}, Action: kubernetes.Create},
					{Name: "subscriptions.dapr.io", Versions: []string{"v1alpha1", "v2alpha1"}, Action: kubernetes.Change},
				},
				Objects: []controlplane.ObjectChange{
					sentry,
					{Action: kubernetes.Delete, Kind: "Service", Name: "dapr-dashboard"},
					{Action: kubernetes.Change, Kind: "StatefulSet", Name: "dapr-placement-server"},
				},
				Recreated: []string{"dapr-placement-server"},
			}, `ℹ️  Plan: from version 1.2.3 to 1.3.0 in the namespace dapr-system
ℹ️  Image r/dapr:1.2.3 becomes r/dapr:1.3.0: dapr-operator/dapr-operator, sidecars of new pods
ℹ️  Image r/other:1 becomes r/dapr:1.3.0: other
ℹ️  CustomResourceDefinitions to create: mcpservers.dapr.io (v1alpha1)
ℹ️  CustomResourceDefinitions to change: subscriptions.dapr.io (v1alpha1, v2alpha1)
ℹ️  Objects to change: Deployment dapr-sentry, StatefulSet dapr-placement-server
ℹ️  Objects to delete: Service dapr-dashboard
ℹ️  Made anew around its running pods, because a field changes that is fixed: StatefulSet dapr-placement-server
⚠  A rollback would not take back the CustomResourceDefinitions
`,
		},
		"other values": {
			&controlplane.Plan{Namespace: "dapr-system", From: "1.2.3", To: "1.2.3", Objects: []controlplane.ObjectChange{sentry}},
			"ℹ️  Plan: change version 1.2.3 in the namespace dapr-system\nℹ️  Objects to change: Deployment dapr-sentry\n",
		},
		"an older version": {
			&controlplane.Plan{Namespace: "dapr-system", From: "1.2.3", To: "1.1.0", Downgrade: true, Objects: []controlplane.ObjectChange{sentry}},
			`ℹ️  Plan: from version 1.2.3 to 1.1.0 in the namespace dapr-system
ℹ️  Objects to change: Deployment dapr-sentry
⚠  Version 1.1.0 is older: the CustomResourceDefinitions stay as they are, and what the older version does not know is ignored
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, _ := iostreams.Test()
			show(cmdutil.NewPrinter(streams, time.Now, func() bool { return false }), tt.plan)
			require.Equal(t, tt.want, out.String())
		})
	}
}
