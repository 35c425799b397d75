//go:build !windows

package app

import "syscall"

const connectionRefused = syscall.ECONNREFUSED
