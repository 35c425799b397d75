package daprd

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVersionAndBuildInfo(t *testing.T) {
	t.Parallel()
	code, out := finished(t, "", []string{"--version"}, nil)
	require.Zero(t, code)
	require.Regexp(t, `^\S+\n$`, out)

	code, out = finished(t, "", []string{"--build-info"}, nil)
	require.Zero(t, code)
	require.Regexp(t, `^Version: \S+\nGit Commit: .*\nGit Version: .*\n$`, out)
}

func TestWaitEndsWhenTheSidecarCanBeCalled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	waiting := spawn(t, t.TempDir(), []string{"--wait", "--dapr-http-port", port}, nil)
	start(t, "a", given{args: []string{"--dapr-http-port", port}})
	require.Zero(t, waiting.wait())
	require.Empty(t, waiting.log.String())
}

func TestACommandLineThatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"--app-id", "a", "--dapr-htp-port", "1"}, "daprd: unknown flag --dapr-htp-port; did you mean --dapr-http-port?\n"},
		{"missing app id", nil, "daprd: --app-id is missing: give the app an id, such as --app-id orders\n"},
		{"not a port", []string{"--app-id", "a", "--dapr-http-port", "http"}, "daprd: --dapr-http-port \"http\": must be a port number from 1 to 65535\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out := finished(t, "", c.args, nil)
			require.Equal(t, 2, code)
			require.Equal(t, c.want, out)
		})
	}
}

func TestABusyPortNamesItsOwnerAndTheFlag(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	port := portOf(busy.Addr().String())
	for _, flag := range []string{"--dapr-http-port", "--dapr-grpc-port", "--dapr-internal-grpc-port", "--dapr-public-port", "--metrics-port", "--profile-port"} {
		t.Run(flag, func(t *testing.T) {
			home := t.TempDir()
			args := []string{"--app-id", "a"}
			for _, other := range []string{"--dapr-http-port", "--dapr-grpc-port", "--metrics-port"} {
				args = append(args, other, "0")
			}
			code, out := finished(t, home, append(args, "--enable-profiling", flag, port), nil)
			require.Equal(t, 1, code)
			require.Contains(t, out, "port "+port+" is in use by daprd.test (pid "+strconv.Itoa(os.Getpid())+")")
			require.Contains(t, out, "choose another port with "+flag)
			require.Contains(t, out, "level=fatal")
			entries, _ := os.ReadDir(registry(home))
			require.Empty(t, entries, "a sidecar that could not start is not found")
		})
	}
}

func TestASecondSidecarTakesAnotherMetricsPort(t *testing.T) {
	t.Parallel()
	for patience := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		busy, err := net.Listen("tcp", "127.0.0.1:9090")
		if err == nil {
			defer busy.Close()
			break
		}
		if time.Now().After(patience) {
			break // somebody has the port for good, which is as well
		}
	}
	home := t.TempDir()
	p := spawn(t, home, []string{"--app-id", "a", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-listen-address", "127.0.0.1"}, nil)
	eventually(t, "no registry entry", func() bool {
		i, found := registered(t, home, p.cmd.Process.Pid)
		return found && i.MetricsPort != 9090 && i.MetricsPort != 0
	})
}

func TestBrokenResourcesAreAllReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.TrimPrefix(text, "\n")), 0o600))
	}
	write("one.yaml", `
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: one
spec:
  type: state.in-memory
  versoin: v1
`)
	write("two.yaml", store("fine")+`---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: two
spec:
  type: state.in-memory
  version: v1
  metdata:
  - name: x
    value: y
`)
	write("three.yaml", component("three", "state.rediss"))
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(configuration("  nameResolutoin:\n    component: mdns\n")), 0o600))

	code, out := finished(t, "", []string{"--app-id", "a", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--resources-path", dir, "--config", config}, nil)
	require.Equal(t, 1, code)
	fatal := regexp.MustCompile(`level=fatal.*`).FindString(out)
	require.Contains(t, fatal, filepath.Join(dir, "one.yaml")+":7")
	require.Contains(t, fatal, "versoin")
	require.Contains(t, fatal, "did you mean version?")
	require.Contains(t, fatal, filepath.Join(dir, "two.yaml")+":17")
	require.Contains(t, fatal, "metdata")
	require.Contains(t, fatal, "did you mean metadata?")
	require.Contains(t, fatal, filepath.Join(dir, "three.yaml"))
	require.Contains(t, fatal, "did you mean state.redis?")
	require.Contains(t, fatal, config+":6")
	require.Contains(t, fatal, "did you mean nameResolution?")
}

func TestAResourcesPathThatDoesNotExist(t *testing.T) {
	t.Parallel()
	code, out := finished(t, "", []string{"--app-id", "a", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--resources-path", "/no/such/folder"}, nil)
	require.Equal(t, 1, code)
	require.Contains(t, out, "/no/such/folder")
}
