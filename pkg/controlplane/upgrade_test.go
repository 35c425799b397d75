package controlplane

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/helm"
	"github.com/hyperdapr/dapr/pkg/kubernetes"
)

func set(expressions ...string) UpgradeOptions {
	return UpgradeOptions{Timeout: time.Minute, Change: func(v helm.Values) error {
		var errs []error
		for _, e := range expressions {
			errs = append(errs, v.Set(e))
		}
		return errors.Join(errs...)
	}}
}

func (f fixture) plan(t *testing.T, o UpgradeOptions) *Plan {
	t.Helper()
	p, err := f.PlanUpgrade(t.Context(), o)
	require.NoError(t, err)
	return p
}

func TestUpgrade(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t, "global.logAsJson=true")
	f.Version = "1.3.0"
	f.cluster.sidecars = map[string]int{"ghcr.io/hyperdapr/dapr:1.2.3": 2, "ghcr.io/hyperdapr/dapr:1.3.0": 1}

	p := f.plan(t, UpgradeOptions{Timeout: time.Minute})
	require.False(t, p.Empty())
	require.Equal(t, "1.2.3", p.From)
	require.Equal(t, "1.3.0", p.To)
	require.Contains(t, p.Images, ImageChange{Of: "dapr-operator/dapr-operator", From: "ghcr.io/hyperdapr/dapr:1.2.3", To: "ghcr.io/hyperdapr/dapr:1.3.0"})
	require.Contains(t, p.Images, ImageChange{Of: sidecars, From: "ghcr.io/hyperdapr/dapr:1.2.3", To: "ghcr.io/hyperdapr/dapr:1.3.0"})
	require.Contains(t, p.Objects, ObjectChange{Action: kubernetes.Change, Kind: "Deployment", Name: "dapr-sentry"})
	require.Empty(t, p.Recreated)
	require.Empty(t, f.cluster.log, "a plan changes nothing")

	require.NoError(t, f.Upgrade(t.Context(), p, f.cluster))
	require.Equal(t, []string{
		"apply 7 definitions",
		"✓ Applying 7 CustomResourceDefinitions",
		"✓ Upgrading from version 1.2.3 to 1.3.0",
		"✓ Waiting for dapr-operator",
		`i 2 pods with the sidecar ghcr.io/hyperdapr/dapr:1.2.3; they get the new one when they are restarted, such as with "kubectl rollout restart deployment NAME"`,
	}, f.cluster.log)
	require.Contains(t, f.helm.Releases[1].Manifest, "--log-as-json=true", "values stay")

	require.True(t, f.plan(t, UpgradeOptions{Timeout: time.Minute}).Empty())
}

func TestUpgradeOfValuesOnly(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t, "dapr_sentry.tls.root.certPEM=R", "dapr_sentry.tls.issuer.certPEM=I", "dapr_sentry.tls.issuer.keyPEM=K", "dapr_sentry.tls.trustDomain=td")
	p := f.plan(t, set("global.ha.enabled=true"))
	require.Contains(t, p.Objects, ObjectChange{Action: kubernetes.Create, Kind: "PodDisruptionBudget", Name: "dapr-sentry-disruption-budget"})
	require.NoError(t, f.Upgrade(t.Context(), p, f.cluster))
	require.Contains(t, f.cluster.log, "✓ Changing version 1.2.3")
	kept := f.helm.Releases[1].Values
	require.Equal(t, "td", kept.Text("dapr_sentry", "tls", "trustDomain"))
	_, again := kept.Lookup("dapr_sentry", "tls", "root")
	require.False(t, again, "a CA that was given once may have been renewed since: it is taken from the cluster")

	back := f.plan(t, set("global.ha.enabled=false"))
	require.Contains(t, back.Objects, ObjectChange{Action: kubernetes.Delete, Kind: "PodDisruptionBudget", Name: "dapr-sentry-disruption-budget"})
}

func TestAStatefulSetIsMadeAnewWhenItMust(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	p := f.plan(t, set("dapr_placement.cluster.forceInMemoryLog=false"))
	require.Equal(t, []string{"dapr-placement-server"}, p.Recreated)
	require.Contains(t, f.cluster.required, kubernetes.Right{Verb: "delete", Resource: "pods", Namespace: DefaultNamespace})
	require.NoError(t, f.Upgrade(t.Context(), p, f.cluster))
	require.Equal(t, []string{"orphan dapr-placement-server", "replace the pods of dapr-placement-server", "✓ Changing version 1.2.3"}, f.cluster.log[2:5])
}

func TestASetThatWasDeletedComesBack(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	p := f.plan(t, set("dapr_placement.cluster.forceInMemoryLog=false"))
	f.cluster.fail["orphan"] = errors.New("the time is over")
	require.EqualError(t, f.Upgrade(t.Context(), p, f.cluster), "the time is over")
	require.Equal(t, []string{"Rollback to 1"}, f.helm.Calls, "Helm had not begun, but the set was gone")
	require.Equal(t, "i Version 1.2.3 runs again", f.cluster.log[len(f.cluster.log)-1])
}

func TestADowngradeLeavesTheDefinitions(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	f.Version = "1.1.0"
	p := f.plan(t, UpgradeOptions{Timeout: time.Minute})
	require.True(t, p.Downgrade)
	require.NoError(t, f.Upgrade(t.Context(), p, f.cluster))
	require.NotContains(t, f.cluster.log, "apply 7 definitions")
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3", "1.3.0", true},
		{"1.3.0", "1.2.3", false},
		{"1.2.3", "1.2.3", false},
		{"1.3.0-rc.1", "1.3.0", true},
		{"edge", "1.2.3", false},
		{"1.2.3", "edge", false},
	} {
		require.Equal(t, tt.want, older(tt.a, tt.b), "%s before %s", tt.a, tt.b)
	}
}

func TestAFailedUpgradeRollsBack(t *testing.T) {
	notReady := &kubernetes.NotReadyError{Workloads: []kubernetes.Workload{{Name: "dapr-operator", Wanted: 1}}}
	for name, tt := range map[string]struct {
		prepare func(fixture)
		want    string
		calls   []string
		end     string
	}{
		"definitions: nothing to roll back": {
			prepare: func(f fixture) { f.cluster.fail["ApplyCRDs"] = errors.New("refused") },
			want:    "refused",
			end:     "✗ Applying 7 CustomResourceDefinitions",
		},
		"Helm": {
			prepare: func(f fixture) { f.helm.Fail["Upgrade"] = errors.New("refused") },
			want:    "refused",
			calls:   []string{"Upgrade", "Rollback to 1"},
			end:     "i Version 1.2.3 runs again",
		},
		"pods": {
			prepare: func(f fixture) { f.cluster.ready = []error{notReady} },
			want:    "not ready in time: dapr-operator (0 of 1 ready)",
			calls:   []string{"Upgrade", "Rollback to 1"},
			end:     "i Version 1.2.3 runs again",
		},
		"the rollback itself": {
			prepare: func(f fixture) {
				f.cluster.ready = []error{notReady}
				f.helm.Fail["Rollback"] = errors.New("no answer")
			},
			want:  "not ready in time: dapr-operator (0 of 1 ready)\nThe rollback to version 1.2.3 failed, too: no answer",
			calls: []string{"Upgrade", "Rollback to 1"},
			end:   "✗ Rolling back to version 1.2.3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustInstall(t)
			f.Version = "1.3.0"
			tt.prepare(f)
			p := f.plan(t, UpgradeOptions{Timeout: time.Minute})
			require.EqualError(t, f.Upgrade(t.Context(), p, f.cluster), tt.want)
			require.Equal(t, tt.calls, f.helm.Calls)
			require.Equal(t, tt.end, f.cluster.log[len(f.cluster.log)-1])
			if tt.end == "i Version 1.2.3 runs again" {
				require.Contains(t, f.cluster.log, "keep the trust bundle")
			}
		})
	}
}

func TestAnInterruptedUpgradeRollsBack(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	f.Version = "1.3.0"
	p := f.plan(t, UpgradeOptions{Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	f.cluster.ready = []error{&waitError{cancel}}
	require.ErrorIs(t, f.Upgrade(ctx, p, f.cluster), context.Canceled)
	require.Equal(t, []string{"Upgrade", "Rollback to 1"}, f.helm.Calls)
}

func TestUpgradeRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(fixture)
		options UpgradeOptions
		want    string
	}{
		"no cluster": {
			prepare: func(f fixture) { f.cluster.fail["Reach"] = errors.New("no answer") }, want: "no answer",
		},
		"nothing there": {
			prepare: func(f fixture) { f.helm.Releases = nil },
			want:    `there is no control plane in the cluster; install one with "dapr init -k"`,
		},
		"nothing there, said where": {
			options: UpgradeOptions{Namespace: "other"},
			want:    `there is no control plane in the namespace other; install one with "dapr init -k -n other"`,
		},
		"several": {
			prepare: func(f fixture) {
				f.Find = func(string) ([]*helm.Release, error) {
					return []*helm.Release{{Namespace: "a"}, {Namespace: "b"}}, nil
				}
			},
			want: "there are control planes in the namespaces a and b; say which with --namespace",
		},
		"never installed to its end": {
			prepare: func(f fixture) { f.helm.Releases[0].Status = helm.Failed },
			want:    `the installation in the namespace dapr-system never came to its end; run "dapr uninstall -k -n dapr-system" and "dapr init -k"`,
		},
		"another one at work": {
			prepare: func(f fixture) { f.helm.Releases[0].Status = helm.Pending },
			want:    "another upgrade has been under way since 03:04:05; wait for its end, or, if nobody is at it any more, until 03:05:05",
		},
		"a wrong value": {
			options: set("global.ha.enable=true"),
			want:    `value global.ha.enable: there is no such value; did you mean "enabled"?`,
		},
		"too few rights": {
			prepare: func(f fixture) {
				f.cluster.missing = []kubernetes.Right{{Verb: "patch", Group: "apps", Resource: "deployments", Namespace: DefaultNamespace}}
			},
			want: "deployments.apps: patch in the namespace dapr-system",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustInstall(t)
			if tt.prepare != nil {
				tt.prepare(f)
			}
			o := tt.options
			o.Timeout = time.Minute
			_, err := f.PlanUpgrade(t.Context(), o)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, f.cluster.log)
			require.Empty(t, f.helm.Calls)
		})
	}
}

func TestAnAbandonedUpgradeIsTakenOver(t *testing.T) {
	f := newFixture(t)
	f.mustInstall(t)
	abandoned := *f.helm.Releases[0]
	abandoned.Revision, abandoned.Status, abandoned.Updated = 2, helm.Pending, now.Add(-time.Hour)
	f.helm.Releases = append(f.helm.Releases, &abandoned)
	f.Version = "1.3.0"
	p := f.plan(t, UpgradeOptions{Timeout: time.Minute})
	require.NoError(t, f.Upgrade(t.Context(), p, f.cluster))
	require.Equal(t, []string{"Abandon", "Upgrade"}, f.helm.Calls)
}
