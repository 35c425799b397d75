//go:build kubernetes

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRunFile runs both apps out of one file, and ends them in both ways. It
// leaves the cluster as it was.
func TestRunFile(t *testing.T) {
	c := theCluster(t)
	images(t, c)
	file := writeRunFile(t, "localhost/hello-python:1")
	c.types(t, "init", "-k", "--wait", "--timeout", "120", "--dev")
	c.tell(t, []step{
		{name: "Ctrl-C ends them", do: func(t *testing.T, c cluster) { ctrlC(t, c, file) }},
		{name: "another terminal ends them", do: func(t *testing.T, c cluster) { anotherTerminal(t, c, file) }},
		{name: "one app that cannot start starts none", do: oneCannotStart},
	})
	c.types(t, "uninstall", "-k", "--dev", "--all")
	c.nothingLeft(t)
}

// writeRunFile returns the path of a run file with both apps.
func writeRunFile(t *testing.T, python string) string {
	t.Helper()
	dir := t.TempDir()
	for _, app := range []string{"node", "python"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, app), 0o755))
	}
	file := filepath.Join(dir, "dapr.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`version: 1
common:
  env: {GREETING: hello}
apps:
  - appID: nodeapp
    appDirPath: ./node
    appPort: 3000
    command: ["node", "app.js"]
    containerImage: localhost/hello-node:1
    containerImagePullPolicy: Never
    createService: true
  - appID: pythonapp
    appDirPath: ./python
    containerImage: `+python+`
    containerImagePullPolicy: Never
    env: {INTERVAL: 0.2}
`), 0o600))
	return file
}

// runs starts "dapr run" with a file, and returns its screen. ended gives how it
// ended.
func (c cluster) runs(t *testing.T, file string) (screen *background, interrupt func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	screen = &background{}
	cmd := exec.CommandContext(ctx, c.dapr, "run", "-k", "-f", file)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, screen, screen
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return screen, func() { require.NoError(t, cmd.Process.Signal(os.Interrupt)) }, done
}

// works waits until both apps work together, and shows what they print.
func (screen *background) works(t *testing.T, ended <-chan error) {
	t.Helper()
	for _, text := range []string{
		"You're up and running!", "== APP - nodeapp == Successfully persisted state.\n", "== APP - pythonapp == Sent order ",
	} {
		eventually(t, 2*time.Minute, func() error {
			select {
			case err := <-ended:
				require.Fail(t, "it has ended", "%v\n%s", err, screen.text())
			default:
			}
			return screen.says(text)
		})
	}
}

// ends waits for the end, which leaves no app behind.
func (c cluster) ends(t *testing.T, screen *background, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		t.Log(screen.text())
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.Fail(t, "it has not ended", screen.text())
	}
	c.noApps(t)
}

func (c cluster) noApps(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		out := c.kubectl(t, "get", "deployments,pods,services", "-l", "app in (nodeapp, pythonapp)", "-o", "name")
		if out != "" {
			return fmt.Errorf("left: %s", out)
		}
		return nil
	})
}

func ctrlC(t *testing.T, c cluster, file string) {
	screen, interrupt, ended := c.runs(t, file)
	screen.works(t, ended)
	list := c.types(t, "list", "-k")
	require.Regexp(t, `default\s+nodeapp\s+3000\s`, list)
	require.Regexp(t, `default\s+pythonapp\s`, list)
	require.Equal(t, "hello 0.2", c.kubectl(t, "get", "deployment", "pythonapp", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].value}"))
	require.Equal(t, "appconfig", c.kubectl(t, "get", "deployment", "nodeapp", "-o", `jsonpath={.spec.template.metadata.annotations.dapr\.io/config}`))
	require.Equal(t, "80 3000", c.kubectl(t, "get", "service", "nodeapp", "-o", "jsonpath={.spec.ports[0].port} {.spec.ports[0].targetPort}"))
	interrupt()
	c.ends(t, screen, ended)
}

func anotherTerminal(t *testing.T, c cluster, file string) {
	screen, _, ended := c.runs(t, file)
	screen.works(t, ended)
	out := c.types(t, "stop", "-k", "-f", file)
	require.Contains(t, out, "app stopped successfully: nodeapp")
	require.Contains(t, out, "app stopped successfully: pythonapp")
	c.ends(t, screen, ended)
	require.Contains(t, c.types(t, "stop", "-k", "-f", file), "nodeapp: nothing of it was left")
}

func oneCannotStart(t *testing.T, c cluster) {
	out := c.fails(t, "run", "-k", "-f", writeRunFile(t, "localhost/no-such-image:1"))
	require.Contains(t, out, "start the app pythonapp: not ready in time")
	require.Contains(t, out, "localhost/no-such-image:1")
	c.noApps(t)

	file := writeRunFile(t, `""`)
	require.Contains(t, c.fails(t, "run", "-k", "-f", file), "run file "+file+": apps[1].containerImage: it is missing")
	c.noApps(t)
}
