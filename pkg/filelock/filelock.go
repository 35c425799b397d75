// Package filelock holds a lock between processes that leaves no file behind.
package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Acquire waits for the lock named by path and returns the function that gives
// it back and removes the file. The lock ends with the process too; the file it
// then leaves is taken over by the next one. The folder is created when it does
// not exist.
func Acquire(path string) (release func() error, err error) {
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("create the folder of lock %s: %w", path, err)
		}
		lock := flock.New(path, flock.SetPermissions(0o600))
		err := lock.Lock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the folder went with the one who held the lock
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// The one before may have removed the file while this one waited: then
		// the next comer locks another file of that name.
		if isNamed(lock, path) {
			return func() error { return remove(lock, path) }, nil
		}
		if err := lock.Unlock(); err != nil {
			return nil, fmt.Errorf("unlock %s: %w", path, err)
		}
	}
}

// Held tells whether a process holds the lock named by path now.
func Held(path string) (bool, error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDWR), flock.SetPermissions(0o600))
	free, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at lock %s: %w", path, err)
	case !free:
		return true, nil
	}
	return false, lock.Unlock()
}

// remove unlinks before it unlocks, so that nobody takes the lock on a name
// that is about to vanish. Windows removes no open file: there the next one may
// have the file open already, and keeps it.
func remove(lock *flock.Flock, path string) error {
	removed := os.Remove(path) == nil
	if err := lock.Unlock(); err != nil {
		return fmt.Errorf("unlock %s: %w", path, err)
	}
	if !removed {
		_ = os.Remove(path)
	}
	return nil
}

func isNamed(lock *flock.Flock, path string) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}
