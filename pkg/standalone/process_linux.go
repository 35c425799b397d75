package standalone

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
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
		group, alive := processGroup(pid)
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

// processGroup returns a process's group and whether it lives. One that has
// ended and was not collected by its parent does not: nothing can be done about
// it, and nothing needs to.
func processGroup(pid int) (group int, alive bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	// "pid (name) state ppid pgrp …", where the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 || bytes.ContainsAny(fields[0], "ZXx") {
		return 0, false
	}
	group, err = strconv.Atoi(string(fields[2]))
	return group, err == nil
}

// alive tells whether a process exists and has not ended.
func alive(pid int) bool {
	_, ok := processGroup(pid)
	return ok
}

// standApart gives this process another name than the CLI's, so that whoever
// kills that by its name does not kill its keeper too.
func standApart() { _ = os.WriteFile("/proc/self/comm", []byte("run-keeper"), 0) }
