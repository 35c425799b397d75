//go:build unix

package main

import (
	"os"
	"syscall"
)

// terminate is how a run asks its app to end.
const terminate = syscall.SIGTERM

var politeRequests = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// farAway makes a process the leader of a session.
func farAway() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
