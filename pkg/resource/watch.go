package resource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Disk is files and folders as the source of a sidecar's resources.
type Disk struct {
	// Configurations are files, the later ones overriding.
	Configurations []string
	// Folders are read as LoadFolders does.
	Folders []string
	Filter  Filter
}

// Load reads everything anew. It returns what it could read beside the mistakes;
// the Configuration is nil when it has one.
func (d Disk) Load(context.Context) (*Configuration, []Resource, error) {
	config, configErr := LoadConfiguration(d.Configurations...)
	all, err := LoadFolders(d.Folders, d.Filter)
	return config, all, errors.Join(configErr, err)
}

// settle is how long a folder must be quiet before it is read: editors write a
// file in several steps.
const settle = 100 * time.Millisecond

// Watch calls changed, maybe too often, when Load could return something else.
// It returns when the context ends.
func (d Disk) Watch(ctx context.Context, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch resources: %w", err)
	}
	defer w.Close()
	// Folders rather than files: an editor replaces a file, and a mounted
	// ConfigMap replaces the link to it.
	paths := append([]string(nil), d.Folders...)
	for _, file := range d.Configurations {
		paths = append(paths, filepath.Dir(file))
	}
	for _, path := range paths {
		if err := w.Add(path); err != nil {
			return fmt.Errorf("watch resources: %s: %w", path, err)
		}
	}
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			return fmt.Errorf("watch resources: %w", err)
		case event := <-w.Events:
			if !event.Has(fsnotify.Chmod) {
				quiet.Reset(settle)
			}
		case <-quiet.C:
			changed()
		}
	}
}
