//go:build !linux && !windows

package standalone

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Processes lists the living processes of a program's file.
func Processes(program string) ([]int, error) {
	out, err := exec.Command("ps", "-axww", "-o", "pid=,comm=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil && strings.TrimSpace(name) == program {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
