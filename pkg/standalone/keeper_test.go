//go:build !windows

package standalone

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spawned reads the process ids that test apps print.
func spawned(screen string) []int {
	var pids []int
	for _, m := range regexp.MustCompile(`spawned (\d+)`).FindAllStringSubmatch(screen, -1) {
		pid, _ := strconv.Atoi(m[1])
		pids = append(pids, pid)
	}
	return pids
}

func requireGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		require.False(t, alive(pid), "process %d is left", pid)
	}
}

// A CLI that is killed can do nothing any more; what it has started must end all
// the same.
func TestTheKeeperEndsTheRunOfAKilledCLI(t *testing.T) {
	root := t.TempDir()
	o := testOptions(root, "app", "say", "up", "spawn", "deaf", "wait")
	self, err := os.Executable()
	require.NoError(t, err)
	screen := &buffer{}
	cli := exec.Command(self, append([]string{roleCLI, root, "app"}, o.Command[2:]...)...)
	cli.Stdout, cli.Stderr = screen, screen
	cli.WaitDelay = time.Second
	require.NoError(t, cli.Start())
	screen.eventually(t, "You're up and running!")
	screen.eventually(t, "spawned")
	running, err := List(o.Layout)
	require.NoError(t, err)
	require.Len(t, running, 1)
	require.Equal(t, cli.Process.Pid, running[0].CLIPID)
	pids := append(spawned(screen.String()), running[0].AppPID, running[0].DaprdPID)
	for _, pid := range pids {
		require.True(t, alive(pid))
	}

	require.NoError(t, cli.Process.Kill())
	require.Error(t, cli.Wait())
	require.Eventually(t, func() bool {
		for _, pid := range pids {
			if alive(pid) {
				return false
			}
		}
		return true
	}, 4*time.Second, 10*time.Millisecond)
	// Without anybody having listed, which would clean up too.
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(o.Layout.Instances())
		return err == nil && len(left) == 0
	}, 4*time.Second, 10*time.Millisecond)
}

func TestStopWaitsUntilAllIsGone(t *testing.T) {
	root := t.TempDir()
	o := testOptions(root, "app", "say", "up", "wait")
	self, err := os.Executable()
	require.NoError(t, err)
	screen := &buffer{}
	cli := exec.Command(self, append([]string{roleCLI, root, "app"}, o.Command[2:]...)...)
	cli.Stdout, cli.Stderr = screen, screen
	require.NoError(t, cli.Start())
	screen.eventually(t, "You're up and running!")
	running, err := List(o.Layout)
	require.NoError(t, err)
	require.Len(t, running, 1)

	require.EqualError(t, Stop(t.Context(), o.Layout, "ap"), "app ID ap not found; did you mean app?")
	require.NoError(t, Stop(t.Context(), o.Layout, "app"))
	requireGone(t, []int{running[0].AppPID, running[0].DaprdPID, running[0].CLIPID})
	requireNothingLeft(t, o.Layout)
	require.NoError(t, cli.Wait())
}

func TestMarkers(t *testing.T) {
	env := trace{Run: "inner"}.mark(trace{Run: "outer"}.mark([]string{"A=1"}))
	require.Equal(t, []string{"A=1", runMarker + "=outer/inner"}, env)
	marker, rest := takeMarker(env)
	require.Equal(t, "outer/inner", marker)
	require.Equal(t, []string{"A=1"}, rest)
}

func TestBelongs(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	tests := []struct {
		name   string
		trace  trace
		group  int
		marked func() bool
		part   part
		ok     bool
	}{
		{"sidecar by group", trace{App: 5, Sidecar: 6}, 6, yes, sidecarPart, true},
		{"app by group, environment wiped", trace{App: 5, Sidecar: 6}, 5, no, appPart, true},
		{"strayed, by marker", trace{App: 5, Sidecar: 6}, 99, yes, appPart, true},
		{"stranger", trace{App: 5, Sidecar: 6}, 99, no, 0, false},
		{"kernel thread before anything has started", trace{}, 0, no, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			part, ok := tt.trace.belongs(tt.group, tt.marked)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.part, part)
		})
	}
}
