package standalone

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/embed/embedtest"
	"github.com/hyperdapr/dapr/pkg/filelock"
	"github.com/hyperdapr/dapr/pkg/instances"
)

// conditions are those of the programs by name.
func conditions(t *testing.T, l Layout, s Source) map[string]Condition {
	t.Helper()
	found, err := Inspect(l, s)
	require.NoError(t, err)
	all := make(map[string]Condition)
	for _, p := range found.Programs {
		all[p.Name] = p.Condition
	}
	return all
}

func TestInspectAndRepair(t *testing.T) {
	l, s := newLayout(t), testSource(t, "1.0.0")
	require.Equal(t, map[string]Condition{daprd: Missing, controlPlane: Missing}, conditions(t, l, s))

	_, err := Init(t.Context(), l, s, InitOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]Condition{daprd: Current, controlPlane: Current}, conditions(t, l, s))
	require.Equal(t, map[string]Condition{daprd: Other, controlPlane: Other}, conditions(t, l, testSource(t, "1.1.0")))

	// Of the same size: the inventory's word is not enough to find it.
	write(t, l.Daprd(), "daprd 1.0.O")
	require.NoError(t, os.Remove(l.ControlPlane()))
	require.Equal(t, map[string]Condition{daprd: Damaged, controlPlane: Missing}, conditions(t, l, s))
	report, err := Init(t.Context(), l, s, InitOptions{})
	require.NoError(t, err)
	require.NotContains(t, report.Replaced, l.Daprd())
	require.Equal(t, Damaged, conditions(t, l, s)[daprd])

	report, err = Repair(t.Context(), l, s)
	require.NoError(t, err)
	require.Equal(t, []string{l.Daprd()}, report.Replaced)
	require.Equal(t, map[string]Condition{daprd: Current, controlPlane: Current}, conditions(t, l, s))

	// Somebody else's.
	require.NoError(t, os.Remove(l.Inventory()))
	write(t, l.Daprd(), "another daprd")
	require.Equal(t, Foreign, conditions(t, l, s)[daprd])
}

func TestVerifyPayload(t *testing.T) {
	s := testSource(t, "1.0.0")
	n, err := s.VerifyPayload(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)

	broken := s
	files := embedtest.Payload(t, "1.0.0", map[string]string{daprd: "daprd 1.0.0", controlPlane: "controlplane 1.0.0"})
	files[embed.PackedFile(daprd)] = embedtest.Payload(t, "1.0.0", map[string]string{daprd: "daprd 6.6.6"})[embed.PackedFile(daprd)]
	broken.Payload = files
	_, err = broken.VerifyPayload(t.Context())
	require.ErrorContains(t, err, "daprd: it has 11 bytes with sha256 ")

	n, err = Source{Payload: fstest.MapFS{}, Beside: t.TempDir(), Version: "1.0.0"}.VerifyPayload(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.VerifyPayload(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestLeftovers(t *testing.T) {
	l, s := newLayout(t), testSource(t, "1.0.0")
	left, err := Leftovers(l)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = Init(t.Context(), l, s, InitOptions{})
	require.NoError(t, err)

	want := []string{
		filepath.Join(l.Root, ".inventory.json.tmp1"), filepath.Join(l.Components(), ".statestore.yaml.tmp2"),
		filepath.Join(l.Bin(), ".daprd.new3"), filepath.Join(l.Bin(), ".daprd.old0"),
	}
	for _, file := range want {
		write(t, file, "")
	}
	lock := filepath.Join(l.Root, "init.lock")
	write(t, lock, "")
	left, err = Leftovers(l)
	require.NoError(t, err)
	require.ElementsMatch(t, append(slices.Clone(want), lock), left)

	release, err := filelock.Acquire(lock)
	require.NoError(t, err)
	left, err = Leftovers(l)
	require.NoError(t, err)
	require.Empty(t, left, "an installation is under way")
	require.NoError(t, release())

	removed, err := RemoveLeftovers(l)
	require.NoError(t, err)
	require.ElementsMatch(t, want, removed)
	left, err = Leftovers(l)
	require.NoError(t, err)
	require.Empty(t, left)
	require.FileExists(t, l.Daprd())
}

func TestStrangers(t *testing.T) {
	l := newLayout(t)
	_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
	require.NoError(t, err)
	placement := filepath.Join(l.Bin(), "placement")
	write(t, placement, "")
	write(t, filepath.Join(l.Bin(), ".daprd.old0"), "")
	strangers, err := Strangers(l)
	require.NoError(t, err)
	require.Equal(t, []string{placement}, strangers)
}

func TestProcesses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no program sleep")
	}
	path, err := exec.LookPath("sleep")
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "daprd")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, content, 0o700))
	cmd := exec.Command(program, "60")
	if strings.Contains(path, "busybox") {
		cmd.Args[0] = "sleep"
	}
	require.NoError(t, cmd.Start())
	pids, err := Processes(program)
	require.NoError(t, err)
	require.Equal(t, []int{cmd.Process.Pid}, pids)
	require.False(t, Abandoned(instances.Instance{PID: cmd.Process.Pid, Extended: map[string]string{"cliPID": strconv.Itoa(os.Getpid())}}))
	require.True(t, Abandoned(instances.Instance{PID: cmd.Process.Pid, Extended: map[string]string{"cliPID": "999999999"}}))
	require.False(t, Abandoned(instances.Instance{PID: cmd.Process.Pid}), "nobody told who runs it")

	if runtime.GOOS == "linux" {
		require.NoError(t, os.Rename(program, filepath.Join(filepath.Dir(program), ".daprd.old0")))
		pids, err = Processes(program)
		require.NoError(t, err)
		require.Equal(t, []int{cmd.Process.Pid}, pids, "it was replaced while it ran")
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	pids, err = Processes(program)
	require.NoError(t, err)
	require.Empty(t, pids)
}
