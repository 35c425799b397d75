//go:build !linux && !windows

package standalone

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// find lists the living processes of the run. There is no /proc: ps shows the
// environments (-E) of the user's own processes, but not of programs that the
// system protects.
func (t trace) find() (app, sidecar []int, err error) {
	out, err := exec.Command("ps", "-axwwE", "-o", "pid=,pgid=,stat=,command=").Output()
	if err != nil {
		return nil, nil, fmt.Errorf("list processes: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 4<<20) // a whole environment in one line
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || strings.HasPrefix(fields[2], "Z") {
			continue
		}
		pid, err1 := strconv.Atoi(fields[0])
		group, err2 := strconv.Atoi(fields[1])
		if err1 != nil || err2 != nil || pid == os.Getpid() {
			continue
		}
		which, ok := t.belongs(group, func() bool { return strings.Contains(lines.Text(), t.Run) })
		switch {
		case !ok:
		case which == appPart:
			app = append(app, pid)
		default:
			sidecar = append(sidecar, pid)
		}
	}
	return app, sidecar, lines.Err()
}

// alive tells whether a process exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isChild tells whether a process was started by another one, which is taken to
// be so while both live.
func isChild(pid, parent int) bool { return alive(pid) && alive(parent) }

// standApart does nothing: a process's name is its file's here.
func standApart() {}
