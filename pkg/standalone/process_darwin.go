package standalone

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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

// environment returns what a process was started with, after its command line.
// What has blanks comes in pieces.
func environment(pid int) ([]string, error) {
	out, err := exec.Command("ps", "-wwE", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return strings.Fields(string(out)), err
}

// look returns a process's parent, and whether it lives. One that has ended and
// was not collected by its parent does not: nothing can be done about it.
func look(pid int) (parent int, alive bool) {
	const zombie = 5 // SZOMB
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, false
	}
	return int(info.Eproc.Ppid), info.Proc.P_stat != zombie
}

// alive tells whether a process exists and has not ended.
func alive(pid int) bool {
	_, ok := look(pid)
	return ok
}

// isChild tells whether a living process was started by another one.
func isChild(pid, parent int) bool {
	p, ok := look(pid)
	return ok && p == parent
}

// standApart does nothing: a process's name is its file's here.
func standApart() {}
