package app

import "syscall"

// connectionRefused is WSAECONNREFUSED; syscall.ECONNREFUSED is a number of
// Go's own there, which no call returns.
const connectionRefused = syscall.Errno(10061)
