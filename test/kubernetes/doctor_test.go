//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// finding is one of "dapr doctor -k -o json".
type finding struct {
	Check, Level, Found, Why, Fix string
	Fixable                       bool
}

type findings []finding

// of returns those of a check that are not in order.
func (f findings) of(check string) findings {
	var bad findings
	for _, one := range f {
		if one.Check == check && one.Level != "ok" {
			bad = append(bad, one)
		}
	}
	return bad
}

// examine runs the doctor, and checks that its exit code is what its findings
// make it.
func (c cluster) examine(t *testing.T, args ...string) findings {
	t.Helper()
	out, err := c.run(t, c.dapr, append([]string{"doctor", "-k", "-o", "json"}, args...)...)
	var report struct {
		Scope    string
		Findings findings
		Summary  struct{ Errors int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report), out)
	require.Equal(t, "cluster", report.Scope)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	want := 0
	if report.Summary.Errors > 0 {
		want = 1
	}
	require.Equal(t, want, code, out)
	return report.Findings
}

// finds waits until the doctor finds something, and returns it.
func (c cluster) finds(t *testing.T, check, level, text string) finding {
	t.Helper()
	var seen finding
	eventually(t, 90*time.Second, func() error {
		all := c.examine(t)
		for _, f := range all.of(check) {
			if f.Level == level && strings.Contains(f.Found, text) {
				seen = f
				return nil
			}
		}
		return fmt.Errorf("no finding of %s says %q, but: %+v", check, text, all.of(check))
	})
	t.Logf("%s %s: %s\n  %s\n  to mend it: %s", seen.Level, seen.Check, seen.Found, seen.Why, seen.Fix)
	return seen
}

// isHealthy waits until nothing is wrong any more.
func (c cluster) isHealthy(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error {
		for _, f := range c.examine(t) {
			if f.Level == "error" || f.Level == "warning" {
				return fmt.Errorf("%s %s: %s", f.Level, f.Check, f.Found)
			}
		}
		return nil
	})
}

// does types what a finding says mends it.
func (c cluster) does(t *testing.T, f finding) {
	t.Helper()
	args := strings.Fields(f.Fix)
	require.Equal(t, "kubectl", args[0], f.Fix)
	c.kubectl(t, args[1:]...)
}

// TestDoctor breaks one thing after the other in a cluster, sees the doctor find
// it, and mends it as the doctor says. It leaves the cluster as it found it.
func TestDoctor(t *testing.T) {
	c := theCluster(t)
	c.loadRuntime(t)
	app := newFiles(t)
	app.add(filepath.Join(c.bin, "testapp"), "/testapp")
	app.add("../../LICENSE", "/app/LICENSE") // the folder it works in
	c.load(t, app.save("localhost/doctor-app:1", "/testapp"))

	none := c.examine(t)
	require.Len(t, none.of("control-plane"), 1)
	require.Equal(t, "dapr init -k", none.of("control-plane")[0].Fix)

	// Not as a cleanup: the test's context has ended by then.
	defer func() {
		_, _ = c.tryKubectl(t, "delete", "-f", "testdata/doctor.yaml", "-f", "testdata/dangling.yaml", "--ignore-not-found")
		c.types(t, "uninstall", "-k", "--all")
		c.nothingLeft(t)
	}()
	c.types(t, "init", "-k", "--wait", "--timeout", "240")
	c.isHealthy(t)
	t.Log(c.types(t, "doctor", "-k"))

	c.tell(t, []step{
		{name: "an injector that is away", do: injectorAway},
		{name: "definitions that were changed", do: driftedDefinitions},
		{name: "a service that does not start", do: serviceWithoutImage},
		{name: "certificates", do: endingCertificates},
		{name: "what components name", do: danglingReferences},
		{name: "a user who may only look at pods", do: onlooker},
	})
}

func injectorAway(t *testing.T, c cluster) {
	c.kubectl(t, "scale", "deployment/dapr-sidecar-injector", "-n", "dapr-system", "--replicas=0")
	scaled := c.finds(t, "control-plane", "error", "dapr-sidecar-injector is scaled to 0")
	c.finds(t, "webhook", "error", "has no ready endpoint")
	c.finds(t, "injection", "error", "would get none in the namespace default")

	c.kubectl(t, "apply", "-f", "testdata/doctor.yaml")
	c.waitForPod(t, "app=doctor", "1/1")
	missed := c.finds(t, "pods", "error", "asks for a sidecar and has none")
	require.Equal(t, "kubectl rollout restart deployment/doctor -n default", missed.Fix)

	// Nobody is there who would write it again.
	c.kubectl(t, "patch", "mutatingwebhookconfiguration", "dapr-sidecar-injector", "--type=json", `-p=[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)
	c.finds(t, "webhook", "error", "has no caBundle")

	c.does(t, scaled)
	eventually(t, time.Minute, func() error {
		if bad := append(c.examine(t).of("webhook"), c.examine(t).of("injection")...); len(bad) > 0 {
			return fmt.Errorf("%+v", bad)
		}
		return nil
	})
	c.does(t, missed)
	c.waitForPod(t, "app=doctor", "2/2")
	c.isHealthy(t)
}

func driftedDefinitions(t *testing.T, c cluster) {
	c.kubectl(t, "patch", "customresourcedefinition", "components.dapr.io", "--type=json",
		`-p=[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/type/maxLength","value":7}]`)
	c.kubectl(t, "delete", "customresourcedefinition", "resiliencies.dapr.io")
	require.True(t, c.finds(t, "definitions", "warning", "somebody has changed components.dapr.io").Fixable)
	require.True(t, c.finds(t, "definitions", "error", "the cluster lacks resiliencies.dapr.io").Fixable)

	out := c.types(t, "doctor", "-k", "--fix")
	require.Contains(t, out, "definitions: applied components.dapr.io, resiliencies.dapr.io")
	c.isHealthy(t)
	require.Equal(t, "253", c.kubectl(t, "get", "customresourcedefinition", "components.dapr.io",
		"-o", "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.type.maxLength}"))
}

func serviceWithoutImage(t *testing.T, c cluster) {
	c.kubectl(t, "set", "image", "deployment/dapr-operator", "-n", "dapr-system", "dapr-operator=localhost/no-such-image:1")
	f := c.finds(t, "control-plane", "error", "the image localhost/no-such-image:1 cannot be pulled")
	require.Contains(t, f.Fix, "kubectl logs -n dapr-system deployment/dapr-operator")
	c.kubectl(t, "rollout", "undo", "deployment/dapr-operator", "-n", "dapr-system")
	c.isHealthy(t)
}

func endingCertificates(t *testing.T, c cluster) {
	c.types(t, "mtls", "renew-certificate", "-k", "--valid-until", "20")
	require.Equal(t, "dapr mtls renew-certificate -k", c.finds(t, "certificates", "warning", "the root certificate expires in 19 days").Fix)
	c.finds(t, "certificates", "warning", "the issuer certificate expires in 19 days")
	c.types(t, "mtls", "renew-certificate", "-k", "--valid-until", "365")
	c.isHealthy(t)

	c.kubectl(t, "scale", "deployment/dapr-sentry", "-n", "dapr-system", "--replicas=0")
	c.finds(t, "control-plane", "error", "dapr-sentry is scaled to 0")
	c.kubectl(t, "patch", "configmap", "dapr-trust-bundle", "-n", "dapr-system", "--type=merge", `-p={"data":{"ca.crt":"none"}}`)
	c.finds(t, "trust-bundle", "error", "the ConfigMap dapr-trust-bundle has other roots than the Secret")
	c.kubectl(t, "scale", "deployment/dapr-sentry", "-n", "dapr-system", "--replicas=1")
	c.isHealthy(t)
}

func danglingReferences(t *testing.T, c cluster) {
	c.kubectl(t, "apply", "-f", "testdata/dangling.yaml")
	c.finds(t, "resources", "error", `the Component default/nosecret takes redisPassword out of the Secret "no-such-secret", which does not exist`)
	c.finds(t, "resources", "error", `the Component default/nokey takes redisPassword out of the Secret "doctor", which has no key "password", but other`)
	c.finds(t, "resources", "error", `the Component default/nostore has its secrets in the store "vault", which is not in its namespace`)
	c.finds(t, "resources", "error", "names the Configuration default/no-such-configuration, which does not exist")
	f := c.finds(t, "pods", "warning", "the sidecar of the pod default/dangling is not ready")
	require.Contains(t, f.Fix, "dapr logs -k -a dangling -n default -p dangling")
	c.kubectl(t, "delete", "-f", "testdata/dangling.yaml")
	c.isHealthy(t)
}

// onlooker has somebody look who may not look at all of it.
func onlooker(t *testing.T, c cluster) {
	c.kubectl(t, "create", "serviceaccount", "onlooker")
	c.kubectl(t, "create", "clusterrole", "onlooker", "--verb=get,list", "--resource=pods")
	c.kubectl(t, "create", "clusterrolebinding", "onlooker", "--clusterrole=onlooker", "--serviceaccount=default:onlooker")
	defer c.kubectl(t, "delete", "clusterrolebinding/onlooker", "clusterrole/onlooker", "serviceaccount/onlooker")
	config := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(config, []byte(c.kubectl(t, "config", "view", "--raw", "--minify")), 0o600))
	token := c.kubectl(t, "create", "token", "onlooker")
	c.kubectl(t, "--kubeconfig", config, "config", "set-credentials", "onlooker", "--token="+token)
	c.kubectl(t, "--kubeconfig", config, "config", "set-context", "--current", "--user=onlooker")

	all := c.examine(t, "--kubeconfig", config)
	require.Len(t, all.of("cluster"), 1)
	require.Contains(t, all.of("cluster")[0].Found, "get secrets")
	require.Empty(t, all.of("pods"))
	require.Contains(t, fmt.Sprint(all.of("certificates")), "it cannot be told")
}
