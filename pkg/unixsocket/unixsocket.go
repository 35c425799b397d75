// Package unixsocket listens on unix domain sockets: it clears away the file
// that a killed process left behind, and never one that is in use.
package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxPath is the longest path that every system takes for a socket, in bytes.
const maxPath = 103

// Path is where the sidecar of the app listens in dir; face is "http" or "grpc".
func Path(dir, appID, face string) string {
	return filepath.Join(dir, "dapr-"+appID+"-"+face+".socket")
}

// Listen binds the path. A socket that nobody answers on is replaced; one that
// is alive, or a file of another kind, is an error. Closing the listener
// removes the file.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("unix socket %s: the path has %d bytes, the system takes %d: choose a shorter --unix-domain-socket", path, len(path), maxPath)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("unix socket %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("unix socket %s: the folder does not exist: create it or choose another --unix-domain-socket", path)
	case err != nil:
		return nil, fmt.Errorf("unix socket %s: %w", path, err)
	}
	return l, nil
}

func removeStale(path string) error {
	stale, err := Stale(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errNoSocket):
		return fmt.Errorf("%w: remove it or choose another --unix-domain-socket", err)
	case err != nil:
		return err
	case !stale:
		return errors.New("another process is serving on it: stop that one or choose another --unix-domain-socket")
	}
	return os.Remove(path)
}

var errNoSocket = errors.New("the file is there and is not a socket")

// Stale tells whether the socket is one that nobody answers on. The error wraps
// fs.ErrNotExist when it is not there.
func Stale(path string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return false, errNoSocket
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		return false, nil
	case errors.Is(err, syscall.EAGAIN): // alive, with a full queue
		return false, nil
	case errors.Is(err, fs.ErrPermission):
		return false, err
	}
	return true, nil
}
