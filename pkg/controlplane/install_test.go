package controlplane

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

var options = InstallOptions{Namespace: DefaultNamespace, Wait: true, Timeout: time.Minute}

func TestInstall(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.Install(t.Context(), options, f.cluster))
	require.Equal(t, []string{
		"apply 7 definitions",
		"✓ Applying 7 CustomResourceDefinitions",
		"create namespace dapr-system",
		"✓ Installing version 1.2.3 into the namespace dapr-system",
		"✓ Waiting for dapr-operator",
	}, f.cluster.log)
	require.Contains(t, f.helm.Releases[0].Manifest, "/dapr:1.2.3")
}

func TestInstallKeepsATagThatIsGiven(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t, "global.tag=mine")
	require.Contains(t, f.helm.Releases[0].Manifest, "/dapr:mine")
}

func TestInstallIntoAnotherNamespace(t *testing.T) {
	f := newFixture(t)
	f.cluster.namespaces = []string{"other"}
	require.NoError(t, f.Install(t.Context(), InstallOptions{Namespace: "other", Timeout: time.Minute}, f.cluster))
	require.NotContains(t, f.cluster.log, "create namespace other")
	for _, crd := range f.cluster.applied {
		if crd.GetName() == "subscriptions.dapr.io" {
			where, _, _ := unstructured.NestedString(crd.Object, "spec", "conversion", "webhook", "clientConfig", "service", "namespace")
			require.Equal(t, "other", where)
		}
	}
}

func TestInstallForDevelopment(t *testing.T) {
	f := newFixture(t)
	f.cluster.dev = []string{"Configuration appconfig"}
	o := options
	o.Dev = true
	require.NoError(t, f.Install(t.Context(), o, f.cluster))
	require.Contains(t, f.cluster.log, "i Created in the namespace default: Component statestore")
	require.Contains(t, f.cluster.log[len(f.cluster.log)-1], "nothing is downloaded")
}

// What is wrong is found before anything is changed.
func TestInstallRefusals(t *testing.T) {
	wrong := helm.Values{}
	wrong.Put(true, "global", "ha", "enable")
	for name, tt := range map[string]struct {
		prepare func(fixture)
		values  helm.Values
		want    string
	}{
		"no cluster":    {prepare: func(f fixture) { f.cluster.fail["Reach"] = errors.New("no answer") }, want: "no answer"},
		"a wrong value": {values: wrong, want: `value global.ha.enable: there is no such value; did you mean "enabled"?`},
		"an old cluster": {
			prepare: func(f fixture) { f.cluster.server = "v1.20.1" },
			want:    "chart requires kubeVersion: >= 1.25.0-0 which is incompatible with Kubernetes v1.20.1",
		},
		"too few rights": {
			prepare: func(f fixture) {
				f.cluster.missing = []kubernetes.Right{
					{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
					{Verb: "patch", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
					{Verb: "list", Resource: "pods", Namespace: DefaultNamespace},
				}
			},
			want: `too few rights in the cluster "test"; ask its administrator for these, or choose another context:
  clusterroles.rbac.authorization.k8s.io: create
  customresourcedefinitions.apiextensions.k8s.io: patch
  pods: list in the namespace dapr-system`,
		},
		"a look into the namespace that fails": {
			prepare: func(f fixture) {
				f.helm.Fail["Find"], f.helm.Fail["Status"] = errors.New("forbidden"), errors.New("broken")
			},
			want: "look for the release dapr in the namespace dapr-system: broken",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if tt.prepare != nil {
				tt.prepare(f)
			}
			o := options
			o.Values = tt.values
			require.ErrorContains(t, f.Install(t.Context(), o, f.cluster), tt.want)
			require.Empty(t, f.cluster.log)
			require.Empty(t, f.helm.Calls)
		})
	}
}

func TestInstallOverAnInstallation(t *testing.T) {
	for status, want := range map[helm.Status]string{
		helm.Deployed: `version 1.2.3 is installed already, in the namespace dapr-system; to change it, run "dapr upgrade -k", to begin anew, "dapr uninstall -k -n dapr-system" first`,
		helm.Failed:   `an installation in the namespace dapr-system is failed; run "dapr uninstall -k -n dapr-system" first`,
		helm.Pending: `an installation into the namespace dapr-system has been under way since 2026-01-02 03:04:05; ` +
			`if nobody is at it any more, run "dapr uninstall -k -n dapr-system" first`,
	} {
		f := newFixture(t)
		f.mustInstall(t)
		f.helm.Releases[0].Status = status
		require.EqualError(t, f.Install(t.Context(), options, f.cluster), want)
		other := options
		other.Namespace = "other"
		require.EqualError(t, f.Install(t.Context(), other, f.cluster), want, "one cluster has one control plane")
		require.Empty(t, f.cluster.log)
	}
}

func TestAFailedInstallationUndoesItself(t *testing.T) {
	notReady := &kubernetes.NotReadyError{Workloads: []kubernetes.Workload{{Name: "dapr-operator", Wanted: 1}}}
	for name, tt := range map[string]struct {
		prepare func(fixture)
		want    string
		undone  []string
	}{
		"definitions": {
			prepare: func(f fixture) { f.cluster.fail["ApplyCRDs"] = errors.New("refused") },
			want:    "refused",
			undone:  []string{"apply 7 definitions", "✗ Applying 7 CustomResourceDefinitions"},
		},
		"namespace": {
			prepare: func(f fixture) { f.cluster.fail["EnsureNamespace"] = errors.New("forbidden") },
			want:    "forbidden",
			undone:  []string{"✗ Installing version 1.2.3 into the namespace dapr-system"},
		},
		"Helm": {
			prepare: func(f fixture) { f.helm.Fail["Install"] = errors.New("refused") },
			want:    "refused",
			undone: []string{
				"create namespace dapr-system", "✗ Installing version 1.2.3 into the namespace dapr-system",
				"delete the lease operator.dapr.io in dapr-system", "delete namespace dapr-system", "✓ Removing what was installed",
				`i The CustomResourceDefinitions stay; "dapr uninstall -k --all" deletes them`,
			},
		},
		"Helm, in a namespace that was there": {
			prepare: func(f fixture) {
				f.helm.Fail["Install"] = errors.New("refused")
				f.cluster.namespaces = []string{DefaultNamespace}
			},
			want: "refused",
			undone: []string{
				"✗ Installing version 1.2.3 into the namespace dapr-system", "delete the lease operator.dapr.io in dapr-system", "✓ Removing what was installed",
				`i The CustomResourceDefinitions stay; "dapr uninstall -k --all" deletes them`,
			},
		},
		"pods": {
			prepare: func(f fixture) { f.cluster.ready = []error{notReady} },
			want:    "not ready in time: dapr-operator (0 of 1 ready)",
			undone: []string{
				"✗ Waiting for dapr-operator", "delete the lease operator.dapr.io in dapr-system", "delete namespace dapr-system", "✓ Removing what was installed",
				`i The CustomResourceDefinitions stay; "dapr uninstall -k --all" deletes them`,
			},
		},
		"the undoing itself": {
			prepare: func(f fixture) {
				f.cluster.ready = []error{notReady}
				f.helm.Fail["Uninstall"] = errors.New("no answer")
			},
			want:   "not ready in time: dapr-operator (0 of 1 ready)\nSome of what was installed is still there (no answer); run \"dapr uninstall -k -n dapr-system\"",
			undone: []string{"✗ Waiting for dapr-operator", "✗ Removing what was installed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			tt.prepare(f)
			require.EqualError(t, f.Install(t.Context(), options, f.cluster), tt.want)
			require.Equal(t, tt.undone, f.cluster.log[len(f.cluster.log)-len(tt.undone):])
		})
	}
}

func TestAnInterruptedInstallationUndoesItself(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.cluster.ready = []error{&waitError{cancel}}
	require.ErrorIs(t, f.Install(ctx, options, f.cluster), context.Canceled)
	require.Equal(t, []string{"Install", "Uninstall"}, f.helm.Calls)
	require.Contains(t, f.cluster.log, "delete namespace dapr-system")
	require.Contains(t, f.cluster.log, "✓ Removing what was installed", "the undoing has a time of its own")
}

// A right that is not asked for would be found missing half-way.
func TestEveryKindOfTheChartHasARight(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t, "global.ha.enabled=true", "global.priorityClassName=system-cluster-critical")
	objects, err := kubernetes.DecodeObjects([]byte(f.helm.Releases[0].Manifest))
	require.NoError(t, err)
	for _, o := range objects {
		require.NotEmpty(t, rightsFor([]*unstructured.Unstructured{o}, "create"), o.GetKind())
	}
	require.Contains(t, f.cluster.required, kubernetes.Right{Verb: "create", Group: "apps", Resource: "deployments", Namespace: DefaultNamespace})
	require.Contains(t, f.cluster.required, kubernetes.Right{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: "default"})
	require.Contains(t, f.cluster.required, kubernetes.Right{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"})
}
