//go:build unix

package freeport

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Inherit makes cmd start with the listeners, which it finds with Adopt. Call
// release when cmd.Start has returned, whether it failed or not: it closes this
// process's side, so that the ports are the child's alone and die with it.
//
// A client that connects before the child accepts waits for it instead of being
// refused.
func Inherit(cmd *exec.Cmd, listeners map[string]net.Listener) (release func(), err error) {
	var files []*os.File
	release = func() {
		for _, f := range files {
			f.Close()
		}
		for _, l := range listeners {
			l.Close()
		}
	}
	first := 3 + len(cmd.ExtraFiles)
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(listeners)) {
		l, ok := listeners[name].(*net.TCPListener)
		if !ok {
			release()
			return nil, fmt.Errorf("hand over listener %s: %T is not a TCP listener", name, listeners[name])
		}
		f, err := l.File()
		if err != nil {
			release()
			return nil, fmt.Errorf("hand over listener %s: %w", name, err)
		}
		entries = append(entries, fmt.Sprintf("%s=%d", name, first+len(files)))
		files = append(files, f)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, files...)
	cmd.Env = append(cmd.Environ(), Env+"="+strings.Join(entries, ","))
	return release, nil
}
