//go:build kubernetes

package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processes are those of a pod, as this machine numbers them, by name. The one
// that holds the pod's namespaces is left out.
func (c cluster) processes(t *testing.T, p pod) map[int]string {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	require.NoError(t, err)
	found := make(map[int]string)
	for _, file := range groups {
		group, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(group), p.Metadata.UID) {
			continue // it has ended, or is another's
		}
		dir := filepath.Dir(file)
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || strings.TrimSpace(string(name)) == "pause" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		require.NoError(t, err)
		found[pid] = strings.TrimSpace(string(name))
	}
	return found
}

// mostMemory is what the control plane may hold when it has nothing to do, in kB
// as the kernel counts them.
const mostMemory = 150_000

// idleMemory measures what the control plane holds.
func idleMemory(t *testing.T, c cluster) {
	// What starting took is given back after a while.
	var figures string
	look := func() error {
		sum := 0
		figures = ""
		for _, p := range c.podsIn(t, "dapr-system", "app.kubernetes.io/part-of=dapr") {
			for pid, name := range c.processes(t, p) {
				kB := residentMemory(t, pid)
				sum += kB
				figures += fmt.Sprintf("%s %d kB\n", name, kB)
			}
		}
		figures += fmt.Sprintf("all %d kB", sum)
		if strings.Count(figures, "\n") < 4 || sum > mostMemory {
			return fmt.Errorf("four services may hold %d kB:\n%s", mostMemory, figures)
		}
		return nil
	}
	eventually(t, 30*time.Second, look)
	t.Log(figures)
}

func residentMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "\nVmRSS:")
	require.True(t, found, string(status))
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return kB
}
