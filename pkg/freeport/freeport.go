// Package freeport binds TCP ports without races: a port is never looked up
// first and bound later. A listener that one process has bound can be handed to
// a child process, which then owns a port that was never free in between.
package freeport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
)

// Listen binds host and port; an empty host is every address, port 0 lets the
// system choose. When the port is taken the error is one line that names the
// port, where it can be told the process that holds it, and flag, the option
// with which the user can choose another port (such as "--dapr-http-port"; may
// be empty).
func Listen(host string, port int, flag string) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, fmt.Errorf("port %d is out of range: use 0 to 65535%s", port, with(flag))
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case err == nil:
		return l, nil
	case isInUse(err):
		return nil, fmt.Errorf("port %d is in use%s: stop it or choose another port%s (%w)", port, heldBy(port), with(flag), ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("port %d needs more rights than this process has: choose a port above 1023%s", port, with(flag))
	}
	return nil, fmt.Errorf("listen on port %d: %w", port, err)
}

// ErrInUse is wrapped by Listen's error when another socket holds the port.
var ErrInUse = errors.New("address already in use")

// Port returns the port a TCP listener is bound to; 0 for other listeners.
func Port(l net.Listener) int {
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

func with(flag string) string {
	if flag == "" {
		return ""
	}
	return " with " + flag
}

func heldBy(port int) string {
	name, pid, ok := Owner(port)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" by %s (pid %d)", name, pid)
}
