package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneVersion builds with a version as the Makefile does, and reads it from
// all that must have it.
func TestOneVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("it links programs")
	}
	const version = "7.8.9"
	stamp := "-ldflags=-s -w -X " + modulePath() + "/pkg/version.version=" + version
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	require.Contains(t, string(makefile), "-X $(STAMPED).version=$(VERSION)", "the build stamps what this test does")

	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "WANT_VERSION="+version, "HOME="+t.TempDir())
		// The caches are not in that home.
		for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
			out, err := exec.Command("go", "env", name).Output()
			require.NoError(t, err)
			cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(out)))
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %v\n%s", program, args, out)
		return string(out)
	}
	exe := ""
	if runtime.GOOS == "windows" {
		exe = ".exe"
	}
	bin := t.TempDir()
	for program, answer := range map[string]string{
		"dapr":  "CLI version: " + version + " \nRuntime version: n/a\n",
		"daprd": version + "\n",
	} {
		path := filepath.Join(bin, program+exe)
		run("go", "build", stamp, "-o", path, "./cmd/"+program)
		require.Equal(t, answer, run(path, "--version"), program)
	}
	out := run("go", "test", stamp, "-count=1", "-v", "-run=^TestEverythingHasTheBuildsVersion$", "./pkg/controlplane")
	require.Contains(t, out, "--- PASS: TestEverythingHasTheBuildsVersion")
}
