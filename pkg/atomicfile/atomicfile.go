// Package atomicfile writes a file so that readers see the old content or the
// new one, never a part of it.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteFile replaces the file at path with data. The mode is that of the new
// file. The data is on disk before the name changes.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished(path)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err = f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Chmod(perm); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Close(); err != nil {
		return err
	}
	return persist(isBusy, func() error { return os.Rename(f.Name(), path) })
}

// ReadFile reads a file that WriteFile may be replacing. Only on Windows that
// takes more than os.ReadFile.
func ReadFile(path string) (data []byte, err error) {
	err = persist(isBusy, func() error {
		data, err = os.ReadFile(path)
		return err
	})
	return data, err
}

// Remove removes a file that others may be reading with ReadFile. Only on
// Windows that takes more than os.Remove.
func Remove(path string) error {
	return persist(isBusy, func() error { return os.Remove(path) })
}

// persist repeats do while it fails because somebody else has the file open,
// which nobody does for longer than it takes to read or write it: for two seconds
// at most.
func persist(busy func(error) bool, do func() error) error {
	const limit, longest = 2 * time.Second, 16 * time.Millisecond
	begun := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		err := do()
		if err == nil || !busy(err) || time.Since(begun) > limit {
			return err
		}
		time.Sleep(pause)
	}
}

// RemoveUnfinished removes what writers of the file at path left that were
// killed. It must not be called while one may be at work.
func RemoveUnfinished(path string) error {
	files, err := Unfinished(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Unfinished lists what writers of the file at path have not finished, whether
// they are at work or were killed.
func Unfinished(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished(path)) {
			files = append(files, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return files, nil
}

// unfinished is how the names of files begin that are not complete yet.
func unfinished(path string) string { return "." + filepath.Base(path) + ".tmp" }
