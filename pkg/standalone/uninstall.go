package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// Removal is what an uninstall takes away, worked out before anything is
// touched.
type Removal struct {
	// Running are the ids of the apps that run with the runtime now.
	Running []string
	// Remove are absolute paths in the order they go.
	Remove []string
	// trees are those of Remove that go with all they hold. The other folders
	// are empty by then, or else stay.
	trees map[string]bool
	// Keep is what stays below the runtime folder, and why.
	Keep []Kept
}

// Kept is a file or folder that an uninstall leaves.
type Kept struct {
	// Path is absolute.
	Path string
	// Why ends the sentence "… is kept: ".
	Why string
}

// PlanRemoval works out how to undo Init: it takes what the inventory lists,
// except files that were changed since. With all it takes those too, the apps'
// data and the logs, so that only what was put there by others stays.
func PlanRemoval(l Layout, all bool) (*Removal, error) {
	inv, err := readInventory(l)
	if err != nil {
		return nil, err
	}
	running, err := instances.List(l.Instances())
	if err != nil {
		return nil, err
	}
	p := planner{layout: l, inventory: inv, all: all, plan: Removal{trees: make(map[string]bool)}}
	for _, i := range running {
		p.plan.Running = append(p.plan.Running, i.AppID)
	}
	p.plan.Running = slices.Compact(p.plan.Running) // List sorts
	if exists(l.Root) {
		if _, err := p.folder(l.Root); err != nil {
			return nil, fmt.Errorf("look through the runtime folder: %w", err)
		}
	}
	return &p.plan, nil
}

type planner struct {
	layout    Layout
	inventory inventory
	all       bool
	plan      Removal
}

// folder plans for everything in a folder, and for the folder itself when it is
// the runtime's and would be empty. It tells whether the folder goes.
func (p *planner) folder(path string) (goes bool, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return false, err
	}
	empty := true
	for _, e := range entries {
		child := filepath.Join(path, e.Name())
		goes := false
		switch why, take := p.decide(child, e); {
		case e.IsDir() && why == "" && !take:
			goes, err = p.folder(child)
		case take:
			goes = true
			p.plan.Remove = append(p.plan.Remove, child)
			p.plan.trees[child] = e.IsDir()
		default:
			p.plan.Keep = append(p.plan.Keep, Kept{Path: child, Why: why})
		}
		if err != nil {
			return false, err
		}
		empty = empty && goes
	}
	if !empty || !p.isOurs(path) {
		return false, nil
	}
	p.plan.Remove = append(p.plan.Remove, path)
	return true, nil
}

// decide returns whether a file or folder is taken as a whole, or else why it is
// kept. Neither is said of a folder that is to be looked through.
func (p *planner) decide(path string, e fs.DirEntry) (why string, take bool) {
	l := p.layout
	switch {
	case path == l.Data() && !isEmpty(path):
		return "it holds the state of your apps; --all removes it", p.all
	case path == l.Logs() && !isEmpty(path):
		return "it holds the logs of your apps; --all removes it", p.all
	case path == l.Instances(), path == l.Inventory():
		return "", true
	case filepath.Dir(path) == l.Bin() && isTemporary(e.Name()):
		return "", true
	case e.IsDir():
		return "", false
	}
	rel := l.relative(path)
	isDefault := slices.Contains(defaults, rel)
	made, ok := p.inventory.find(rel)
	switch {
	case !ok && !isDefault:
		return "it was not made by dapr init", false
	case isDefault && !p.all && (!ok || isChanged(path, made)):
		return "it is not as dapr init made it; --all removes it", false
	}
	return "", true
}

func (p *planner) isOurs(folder string) bool {
	l := p.layout
	_, ok := p.inventory.find(l.relative(folder))
	return ok || p.all && slices.Contains([]string{l.Root, l.Bin(), l.Components(), l.Data(), l.Logs()}, folder)
}

// isChanged takes a file that cannot be read for changed, so that it is kept.
func isChanged(path string, made item) bool {
	sum, _, err := hashFile(path)
	return err != nil || sum != made.SHA256
}

func isEmpty(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && len(entries) == 0
}

// Do removes what was planned. It goes on after a failure, and joins them.
func (r *Removal) Do() error {
	var errs []error
	for _, path := range r.Remove {
		remove := os.Remove
		if r.trees[path] {
			remove = os.RemoveAll
		}
		if err := remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
