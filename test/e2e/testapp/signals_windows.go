package main

import (
	"os"
	"syscall"
)

// terminate is how a run asks its app to end: what Go makes of Ctrl-Break.
const terminate = syscall.SIGINT

var politeRequests = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// farAway makes a process the leader of a process group. There are no sessions.
func farAway() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
