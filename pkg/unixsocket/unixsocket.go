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
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("the file is there and is not a socket: remove it or choose another --unix-domain-socket")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		fallthrough
	case errors.Is(err, syscall.EAGAIN): // alive, with a full queue
		return errors.New("another process is serving on it: stop that one or choose another --unix-domain-socket")
	case errors.Is(err, fs.ErrPermission):
		return err
	}
	return os.Remove(path)
}
