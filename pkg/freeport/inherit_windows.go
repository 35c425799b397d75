package freeport

import (
	"net"
	"os/exec"
)

// Inherit closes the listeners, for Windows cannot hand them over: the child
// must bind the same ports, told by its flags. Another program can take a port
// in the moment between; the child then says so. release does nothing.
func Inherit(_ *exec.Cmd, listeners map[string]net.Listener) (release func(), err error) {
	for _, l := range listeners {
		l.Close()
	}
	return func() {}, nil
}
