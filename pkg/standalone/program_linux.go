package standalone

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Processes lists the living processes of a program's file, also of one that
// has been replaced since. Those of other users show up for root only.
func Processes(program string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !isFileOf(strings.TrimSuffix(target, " (deleted)"), program) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && alive(pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// isFileOf also knows the names under which an installation puts a program
// aside while it runs.
func isFileOf(file, program string) bool {
	return file == program || filepath.Dir(file) == filepath.Dir(program) &&
		strings.HasPrefix(filepath.Base(file), "."+filepath.Base(program)+asideMark)
}
