package standalone

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// find lists the living processes of the run.
func (t trace) find() (app, sidecar []int, err error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, nil, fmt.Errorf("list processes: %w", err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, nil, fmt.Errorf("list processes: %w", err)
	}
	self := os.Getpid()
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		// A process that ends while it is looked at has no files any more.
		_, group, alive := look(pid)
		if !alive {
			continue
		}
		which, ok := t.belongs(group, func() bool {
			env, err := os.ReadFile("/proc/" + name + "/environ")
			return err == nil && bytes.Contains(env, []byte(t.Run))
		})
		switch {
		case !ok:
		case which == appPart:
			app = append(app, pid)
		default:
			sidecar = append(sidecar, pid)
		}
	}
	return app, sidecar, nil
}

// environment returns what a process was started with.
func environment(pid int) ([]string, error) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return strings.Split(string(env), "\x00"), err
}

// look returns a process's parent and group, and whether it lives. One that has
// ended and was not collected by its parent does not: nothing can be done about
// it, and nothing needs to. But while it has threads that have not ended, it
// still holds its locks and sockets.
func look(pid int) (parent, group int, alive bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// "pid (name) state ppid pgrp …", where the name may hold anything; the
	// number of threads is the 18th after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 18 {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	threads, err3 := strconv.Atoi(fields[17])
	ended := strings.Contains("ZXx", fields[0]) && threads <= 1
	return parent, group, !ended && errors.Join(err1, err2, err3) == nil
}

// alive tells whether a process exists and has not ended.
func alive(pid int) bool {
	_, _, ok := look(pid)
	return ok
}

// isChild tells whether a living process was started by another one.
func isChild(pid, parent int) bool {
	p, _, ok := look(pid)
	return ok && p == parent
}

// standApart gives this process another name than the CLI's, so that whoever
// kills that by its name does not kill its keeper too.
func standApart() { _ = os.WriteFile("/proc/self/comm", []byte("run-keeper"), 0) }
