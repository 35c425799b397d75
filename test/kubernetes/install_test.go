//go:build kubernetes

package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// elsewhere is another namespace than the default one, which is there before the
// control plane, and takes restricted pods only.
const elsewhere = "control"

// TestInstallation installs, changes and removes the control plane. It leaves
// the cluster as it was.
func TestInstallation(t *testing.T) {
	c := theCluster(t)
	c.loadRuntime(t)
	c.kubectl(t, "create", "namespace", elsewhere)
	c.kubectl(t, "label", "namespace", elsewhere, "pod-security.kubernetes.io/enforce=restricted")
	c.tell(t, []step{
		{name: "into a restricted namespace", do: intoRestricted},
		{name: "a second one is refused", do: secondIsRefused},
		{name: "resources are checked", do: resourcesAreChecked},
		{name: "Subscriptions of an old installation", do: oldSubscriptions},
		{name: "an upgrade without a change", do: upgradeOfNothing},
		{name: "an upgrade that fails is rolled back", do: failedUpgrade},
		{name: "three of each", do: highAvailability},
		{name: "a field changes that is fixed", do: fixedField},
		{name: "out again", do: outAgain},
	})
}

func intoRestricted(t *testing.T, c cluster) {
	out := c.types(t, "init", "-k", "-n", elsewhere, "--wait", "--timeout", "120", "--dev", "--set", "global.logAsJson=true")
	require.Contains(t, out, "Created in the namespace default: Configuration appconfig, Component statestore")
	require.NotContains(t, out, "PodSecurity")
	require.Contains(t, c.kubectl(t, "get", "components"), "state.in-memory")
}

func secondIsRefused(t *testing.T, c cluster) {
	for _, namespace := range []string{elsewhere, "dapr-system"} {
		out := c.fails(t, "init", "-k", "-n", namespace)
		require.Contains(t, out, "is installed already, in the namespace "+elsewhere)
		require.Contains(t, out, `run "dapr upgrade -k"`)
	}
}

// resourcesAreChecked applies the examples of testdata/resources.yaml. One that
// begins with the comment "# refused: TEXT" is refused with that text.
func resourcesAreChecked(t *testing.T, c cluster) {
	text, err := os.ReadFile(filepath.Join("testdata", "resources.yaml"))
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		file := filepath.Join(t.TempDir(), "resource.yaml")
		require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
		out, err := c.tryKubectl(t, "create", "--dry-run=server", "-f", file)
		_, want, refused := strings.Cut(document, "# refused: ")
		if !refused {
			require.NoError(t, err, "%s\n%s", document, out)
			continue
		}
		want, _, _ = strings.Cut(want, "\n")
		require.Error(t, err, document)
		require.Contains(t, out, want)
	}

	// One that is stored in the other version than it is written in.
	old := filepath.Join(t.TempDir(), "subscription.yaml")
	require.NoError(t, os.WriteFile(old, []byte("apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: old}\n"+
		"spec: {pubsubname: pubsub, topic: orders, route: /orders}\nscopes: [nodeapp]\n"), 0o600))
	c.kubectl(t, "create", "-f", old)
	require.Equal(t, "/orders", c.kubectl(t, "get", "subscriptions.v2alpha1.dapr.io", "old", "-o", "jsonpath={.spec.routes.default}"))
	require.Equal(t, "/orders", c.kubectl(t, "get", "subscriptions.v1alpha1.dapr.io", "old", "-o", "jsonpath={.spec.route}"))
	c.kubectl(t, "delete", "-f", old)
}

// oldSubscriptions has one stored in the version that old releases store, which
// the operator must read before it is ready, through itself.
func oldSubscriptions(t *testing.T, c cluster) {
	store := func(old bool) {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/versions/0/storage","value":%t},{"op":"replace","path":"/spec/versions/1/storage","value":%t}]`, !old, old)
		c.kubectl(t, "patch", "customresourcedefinition", "subscriptions.dapr.io", "--type=json", "-p="+patch)
	}
	file := filepath.Join(t.TempDir(), "subscription.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: stored}\n"+
		"spec: {pubsubname: pubsub, topic: orders, route: /orders}\n"), 0o600))
	store(true)
	// The API server takes a moment to store in another version.
	eventually(t, 20*time.Second, func() error {
		if out, err := c.tryKubectl(t, "create", "-f", file); err != nil {
			return errors.New(out)
		}
		if stored := c.kubectl(t, "get", "customresourcedefinition", "subscriptions.dapr.io", "-o", "jsonpath={.status.storedVersions}"); stored != `["v2alpha1","v1alpha1"]` {
			return fmt.Errorf("stored versions: %s", stored)
		}
		return nil
	})
	// Nobody is there who could convert it, nor does the API server remember it in
	// the new version once its definition has changed.
	scale := func(replicas string) {
		c.kubectl(t, "scale", "deployment/dapr-operator", "-n", elsewhere, "--replicas="+replicas)
	}
	scale("0")
	c.kubectl(t, "wait", "--for=delete", "pod", "-n", elsewhere, "-l", "app=dapr-operator", "--timeout=60s")
	store(false)
	scale("1")
	c.kubectl(t, "rollout", "status", "deployment/dapr-operator", "-n", elsewhere, "--timeout=60s")
	require.Equal(t, "/orders", c.kubectl(t, "get", "subscriptions.v2alpha1.dapr.io", "stored", "-o", "jsonpath={.spec.routes.default}"))
	c.kubectl(t, "delete", "-f", file)
}

// authority is the certificate authority in use.
func (c cluster) authority(t *testing.T) string {
	t.Helper()
	return c.kubectl(t, "get", "secret", "dapr-trust-bundle", "-n", elsewhere, "-o", "jsonpath={.data}")
}

func upgradeOfNothing(t *testing.T, c cluster) {
	require.Contains(t, c.types(t, "upgrade", "-k"), "Nothing to do")
	out := c.types(t, "upgrade", "-k", "--dry-run", "--set", "dapr_sentry.logLevel=debug")
	require.Contains(t, out, "Objects to change: Deployment dapr-sentry\n")
	require.Contains(t, c.types(t, "upgrade", "-k"), "Nothing to do", "a plan changes nothing")
	require.Contains(t, c.fails(t, "upgrade", "-k", "--runtime-version", "0.0.1"), "this program installs its own version")
	require.Contains(t, c.fails(t, "upgrade", "-k", "-n", "dapr-system"), "there is no control plane in the namespace dapr-system")
}

func failedUpgrade(t *testing.T, c cluster) {
	before := c.authority(t)
	out := c.fails(t, "upgrade", "-k", "--timeout", "20", "--set", "dapr_sentry.extraArgs={--nonsense}")
	require.Contains(t, out, "not ready in time: dapr-sentry")
	require.Contains(t, out, "| sentry: unknown flag --nonsense", "the crash's own words")
	require.Contains(t, out, "runs again")
	require.Contains(t, c.types(t, "upgrade", "-k"), "Nothing to do")
	require.Equal(t, before, c.authority(t))
}

func highAvailability(t *testing.T, c cluster) {
	before := c.authority(t)
	c.types(t, "upgrade", "-k", "--timeout", "120", "--set", "global.ha.enabled=true")
	require.Equal(t, before, c.authority(t))
	for _, s := range c.services(t) {
		require.Equal(t, "True", s.Healthy, s.Name)
	}
	require.Equal(t, "3 3 3", c.kubectl(t, "get", "deployments", "-n", elsewhere, "-o", "jsonpath={.items[*].status.readyReplicas}"))
	require.Equal(t, "3", c.kubectl(t, "get", "statefulsets", "-n", elsewhere, "-o", "jsonpath={.items[*].status.readyReplicas}"))
	require.Contains(t, c.kubectl(t, "get", "deployment", "dapr-operator", "-n", elsewhere, "-o", "yaml"), "--log-as-json=true", "values stay")
}

func fixedField(t *testing.T, c cluster) {
	// The volumes of this cluster are folders of root's, which others than root may
	// not write into.
	done := make(chan struct{})
	go func() {
		for open := true; open; {
			_, _ = c.run(t, filepath.Join(c.dir, "in-node"), "chmod", "-R", "a+rwX", "/tmp/hostpath_pv")
			select {
			case <-done:
				open = false
			case <-time.After(200 * time.Millisecond):
			}
		}
		done <- struct{}{}
	}()
	defer func() { done <- struct{}{}; <-done }()

	out := c.types(t, "upgrade", "-k", "--timeout", "180", "--set", "dapr_placement.cluster.forceInMemoryLog=false")
	require.Contains(t, out, "Made anew around its running pods, because a field changes that is fixed: StatefulSet dapr-placement-server")
	require.Contains(t, c.kubectl(t, "get", "persistentvolumeclaims", "-n", elsewhere, "-o", "name"), "raft-log-dapr-placement-server-2")
}

func outAgain(t *testing.T, c cluster) {
	out := c.types(t, "uninstall", "-k")
	require.Contains(t, out, "There is no control plane in the namespace dapr-system, but there is one in "+elsewhere)
	out = c.types(t, "uninstall", "-k", "-n", elsewhere, "--all", "--dev", "--dry-run")
	require.Contains(t, out, "Would delete the CustomResourceDefinition components.dapr.io, and all resources of its kind: 1")
	c.types(t, "uninstall", "-k", "-n", elsewhere, "--dev", "--all")
	eventually(t, 30*time.Second, func() error {
		_, err := c.tryKubectl(t, "wait", "--for=delete", "persistentvolumeclaims", "--all", "-n", elsewhere, "--timeout=1s")
		return err
	})
	c.nothingLeft(t)
	require.NotContains(t, c.kubectl(t, "get", "customresourcedefinitions", "-o", "name"), "dapr.io")
	require.Contains(t, c.kubectl(t, "get", "namespaces", "-o", "name"), elsewhere, "it was there before")
	c.kubectl(t, "delete", "namespace", elsewhere, "--timeout=60s")
}
