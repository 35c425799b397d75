package resource

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Filter says whose resources are wanted.
type Filter struct {
	// AppID drops resources that are scoped to other apps.
	AppID string
	// Namespace, when set, drops resources of other namespaces.
	Namespace string
}

func (f Filter) accepts(h *Header) bool { return h.InScope(f.AppID) && h.InNamespace(f.Namespace) }

// LoadFolders reads every .yaml and .yml file that stands directly in one of
// the folders: folders in their order, files by name, documents as they stand.
// It returns all resources without mistakes that the filter accepts; the error
// joins what is wrong with the others: an *Error for each mistake in a file.
// Mistakes in resources of other apps and namespaces are left to these.
func LoadFolders(folders []string, f Filter) ([]Resource, error) {
	var loaded []Resource
	var errs []error
	seen := make(map[string]*Header)
	files, err := yamlFiles(folders)
	if err != nil {
		errs = append(errs, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read resources: %w", err))
			continue
		}
		for _, doc := range parse(file, data) {
			if doc.resource != nil && !f.accepts(doc.resource.Head()) {
				continue
			}
			for _, err := range doc.errs {
				errs = append(errs, err)
			}
			if len(doc.errs) > 0 {
				continue
			}
			h := doc.resource.Head()
			key := h.Kind + "/" + h.Name()
			if first, dup := seen[key]; dup {
				errs = append(errs, &Error{File: file, Line: h.Source.Line, Field: "metadata.name",
					Message: fmt.Sprintf("there is a %s named %q already, at %s; rename one of them", h.Kind, h.Name(), first.Source)})
				continue
			}
			seen[key] = h
			loaded = append(loaded, doc.resource)
		}
	}
	return loaded, errors.Join(errs...)
}

func yamlFiles(folders []string) ([]string, error) {
	var files []string
	var errs []error
	for _, folder := range folders {
		info, err := os.Stat(folder)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is a file; name the folder it is in", folder)
		}
		var entries []os.DirEntry
		if err == nil {
			entries, err = os.ReadDir(folder)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("resources path: %w", err))
			continue
		}
		for _, e := range entries {
			file := filepath.Join(folder, e.Name())
			if isYAML(file) && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, errors.Join(errs...)
}

// isYAML follows symbolic links: a mounted ConfigMap is made of them.
func isYAML(file string) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml":
		info, err := os.Stat(file)
		return err != nil || !info.IsDir() // reading it tells what is wrong
	}
	return false
}
