//go:build !windows

package standalone

import (
	"context"
	"syscall"
)

// requestStop asks a process to end.
func requestStop(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }

// stopRequests is for the system without signals: here they do.
func stopRequests(context.Context) (<-chan struct{}, error) { return nil, nil }
