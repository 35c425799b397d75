//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChart installs without the CLI, as those do whose clusters are described
// in files. It leaves the cluster as it was.
func TestChart(t *testing.T) {
	c := theCluster(t)
	c.loadRuntime(t)
	c.loadProbe(t)
	out, err := exec.Command("go", "run", "../../embed/packchart", "-time", time.Now().Format(time.RFC3339), "-out", c.chart()).CombinedOutput()
	require.NoError(t, err, string(out))
	c.tell(t, []step{
		{name: "with Helm's own command", do: withHelm},
		{name: "as plain manifests", do: asManifests},
	})
}

// helm runs Helm, which must succeed.
func (c cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, filepath.Join("..", "..", ".cache", "bin", "helm"), args...)
	require.NoError(t, err, "helm %v\n%s", args, out)
	return out
}

func (c cluster) chart() string { return filepath.Join(c.dir, "dapr_chart.tgz") }

// givesSidecars starts an app, which must get a sidecar, and ends it.
func (c cluster) givesSidecars(t *testing.T) {
	t.Helper()
	status(t, c)
	c.kubectl(t, "apply", "-f", "testdata/newcomer.yaml")
	c.waitForPod(t, "app=newcomer", "2/2")
	require.Regexp(t, `default\s+newcomer\s`, c.types(t, "list", "-k"))
	c.kubectl(t, "delete", "-f", "testdata/newcomer.yaml")
}

func withHelm(t *testing.T, c cluster) {
	t.Log(c.helm(t, "install", "dapr", c.chart(), "-n", "dapr-system", "--create-namespace", "--wait", "--timeout", "2m"))
	c.givesSidecars(t)
	require.Contains(t, c.fails(t, "init", "-k"), "is installed already, in the namespace dapr-system")

	// The CLI takes over what Helm has made, and Helm what the CLI has.
	version := c.services(t)["dapr-operator"].Version
	c.types(t, "upgrade", "-k", "--runtime-version", version, "--timeout", "120", "--set", "global.logAsJson=true")
	require.Contains(t, c.kubectl(t, "logs", "-n", "dapr-system", "-l", "app=dapr-sentry", "--tail=1"), `"level":"info"`)
	c.helm(t, "upgrade", "dapr", c.chart(), "-n", "dapr-system", "--reuse-values", "--set", "global.logAsJson=false", "--wait", "--timeout", "2m")
	// The pod of before has its last words while it ends.
	eventually(t, 30*time.Second, func() error {
		if log := c.kubectl(t, "logs", "-n", "dapr-system", "-l", "app=dapr-sentry", "--tail=1"); strings.Contains(log, `"level":"info"`) {
			return fmt.Errorf("it still logs JSON: %s", log)
		}
		return nil
	})
	c.givesSidecars(t)
	var history []struct {
		Revision int
		Status   string
	}
	require.NoError(t, json.Unmarshal([]byte(c.helm(t, "history", "dapr", "-n", "dapr-system", "-o", "json")), &history))
	require.Len(t, history, 3)
	require.Equal(t, "deployed", history[2].Status)

	c.helm(t, "uninstall", "dapr", "-n", "dapr-system", "--wait")
	require.Contains(t, c.kubectl(t, "get", "customresourcedefinitions", "-o", "name"), "components.dapr.io", "Helm keeps definitions")
	c.types(t, "uninstall", "-k", "--all")
	// So does it the namespace, in which the operators have elected one of them.
	c.kubectl(t, "delete", "namespace", "dapr-system")
	c.nothingLeft(t)
}

func asManifests(t *testing.T, c cluster) {
	definitions, all := filepath.Join(c.dir, "definitions.yaml"), filepath.Join(c.dir, "all.yaml")
	require.NoError(t, os.WriteFile(definitions, []byte(c.helm(t, "show", "crds", c.chart())), 0o600))
	require.NoError(t, os.WriteFile(all, []byte(c.helm(t, "template", "dapr", c.chart(), "-n", "dapr-system")), 0o600))
	c.kubectl(t, "apply", "--server-side", "-f", definitions)
	c.kubectl(t, "create", "namespace", "dapr-system")
	c.kubectl(t, "apply", "--server-side", "-f", all)
	for _, workload := range []string{
		"deployment/dapr-operator", "deployment/dapr-sentry", "deployment/dapr-sidecar-injector", "statefulset/dapr-placement-server",
	} {
		c.kubectl(t, "rollout", "status", workload, "-n", "dapr-system", "--timeout=90s")
	}
	c.givesSidecars(t)
	// What the services have written since is theirs: the same manifests apply again.
	c.kubectl(t, "apply", "--server-side", "-f", all)
	c.givesSidecars(t)

	c.kubectl(t, "delete", "-f", all)
	c.kubectl(t, "delete", "namespace", "dapr-system")
	c.kubectl(t, "delete", "-f", definitions)
	c.nothingLeft(t)
}
