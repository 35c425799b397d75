//go:build !linux && !windows

package freeport

// Owner is known only where the system tells it without another program.
func Owner(int) (name string, pid int, ok bool) { return "", 0, false }
