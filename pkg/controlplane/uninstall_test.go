package controlplane

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

func (f fixture) removal(t *testing.T, o UninstallOptions) *Removal {
	t.Helper()
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	o.Timeout = time.Minute
	r, err := f.PlanUninstall(t.Context(), o)
	require.NoError(t, err)
	return r
}

func TestUninstall(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	r := f.removal(t, UninstallOptions{})
	require.Equal(t, "1.2.3", r.Version)
	require.Empty(t, r.CRDs)
	require.Empty(t, r.Absence())
	require.NoError(t, f.Uninstall(t.Context(), r, f.cluster))
	require.Equal(t, []string{"delete the lease operator.dapr.io in dapr-system", "✓ Removing version 1.2.3 from the namespace dapr-system"}, f.cluster.log)
	require.Empty(t, f.helm.Releases)

	require.Equal(t, "There is no control plane in the namespace dapr-system", f.removal(t, UninstallOptions{}).Absence())
}

func TestUninstallAll(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	r := f.removal(t, UninstallOptions{All: true, Dev: true})
	require.Len(t, r.CRDs, 7)
	require.Equal(t, kubernetes.CRDUse{Name: "components.dapr.io", Resources: 2}, r.CRDs[0])
	require.NoError(t, f.Uninstall(t.Context(), r, f.cluster))
	require.Equal(t, []string{
		"delete 2 objects",
		"i Deleted from the namespace default: Component statestore",
		"delete the lease operator.dapr.io in dapr-system",
		"✓ Removing version 1.2.3 from the namespace dapr-system",
		"delete 7 definitions",
		"✓ Deleting the CustomResourceDefinitions, and all resources of their kinds",
		"i Deleted components.dapr.io, configurations.dapr.io, httpendpoints.dapr.io, mcpservers.dapr.io, resiliencies.dapr.io, subscriptions.dapr.io, workflowaccesspolicies.dapr.io",
		"delete own namespace dapr-system",
		"i Deleted the namespace dapr-system",
	}, f.cluster.log)
}

func TestUninstallFromAnotherNamespace(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	r := f.removal(t, UninstallOptions{Namespace: "other"})
	require.Equal(t, "There is no control plane in the namespace other, but there is one in dapr-system: say so with --namespace", r.Absence())
	require.NoError(t, f.Uninstall(t.Context(), r, f.cluster))
	require.Empty(t, f.cluster.log)
	require.Len(t, f.helm.Releases, 1)
}

// Helm cannot remove an object of a kind that is not there.
func TestUninstallAfterTheDefinitionsAreGone(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	f.cluster.crds = []string{"components.dapr.io"}
	require.NoError(t, f.Uninstall(t.Context(), f.removal(t, UninstallOptions{}), f.cluster))
	require.Equal(t, []string{"apply 6 definitions", "delete the lease operator.dapr.io in dapr-system", "✓ Removing version 1.2.3 from the namespace dapr-system"}, f.cluster.log)
}

func TestUninstallRefusals(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	o := UninstallOptions{Namespace: DefaultNamespace, All: true, Timeout: time.Minute}
	f.cluster.missing = []kubernetes.Right{
		{Verb: "delete", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
		{Verb: "delete", Resource: "services", Namespace: DefaultNamespace},
	}
	_, err := f.PlanUninstall(t.Context(), o)
	require.ErrorContains(t, err, "\n  customresourcedefinitions.apiextensions.k8s.io: delete\n  services: delete in the namespace dapr-system")

	f.cluster.missing = nil
	f.cluster.fail["Reach"] = errors.New("no answer")
	_, err = f.PlanUninstall(t.Context(), o)
	require.EqualError(t, err, "no answer")
	require.Empty(t, f.cluster.log)
}
