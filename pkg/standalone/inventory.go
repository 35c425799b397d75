package standalone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
)

// inventory is what Init made, so that Uninstall takes away that and no more.
type inventory struct {
	// Version is that of the programs.
	Version string `json:"version"`
	Entries []item `json:"entries"`
}

// item is a file or a folder.
type item struct {
	// Path is relative to the runtime folder, with slashes.
	Path   string `json:"path"`
	Folder bool   `json:"folder,omitempty"`
	// Size, in bytes, and SHA256 are a file's as it was made.
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// Initialised tells whether the runtime folder has been filled by Init.
func Initialised(l Layout) bool {
	_, err := os.Stat(l.Inventory())
	return err == nil
}

// readInventory returns an empty inventory when there is none.
func readInventory(l Layout) (inventory, error) {
	data, err := os.ReadFile(l.Inventory())
	if errors.Is(err, fs.ErrNotExist) {
		return inventory{}, nil
	}
	if err != nil {
		return inventory{}, fmt.Errorf("read inventory: %w", err)
	}
	var inv inventory
	if err := json.Unmarshal(data, &inv); err != nil {
		return inventory{}, fmt.Errorf("inventory %s: %w; remove the file and run \"dapr init\" again", l.Inventory(), err)
	}
	for _, e := range inv.Entries {
		if !filepath.IsLocal(filepath.FromSlash(e.Path)) {
			return inventory{}, fmt.Errorf("inventory %s: entry %q lies outside the runtime folder", l.Inventory(), e.Path)
		}
	}
	return inv, nil
}

func (inv *inventory) write(l Layout) error {
	data, err := json.MarshalIndent(inv, "", "  ")
	if err != nil {
		return fmt.Errorf("encode inventory: %w", err)
	}
	if err := atomicfile.WriteFile(l.Inventory(), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	return nil
}

func (inv *inventory) find(path string) (item, bool) {
	i := slices.IndexFunc(inv.Entries, func(e item) bool { return e.Path == path })
	if i < 0 {
		return item{}, false
	}
	return inv.Entries[i], true
}

func (inv *inventory) set(e item) {
	i := slices.IndexFunc(inv.Entries, func(old item) bool { return old.Path == e.Path })
	if i < 0 {
		inv.Entries = append(inv.Entries, e)
		return
	}
	inv.Entries[i] = e
}

// relative names a path as the inventory does.
func (l Layout) relative(path string) string {
	rel, err := filepath.Rel(l.Root, path)
	if err != nil {
		panic(err) // both are absolute and of one volume: see Layout
	}
	return filepath.ToSlash(rel)
}

func (l Layout) absolute(rel string) string {
	return filepath.Join(l.Root, filepath.FromSlash(rel))
}

func hashFile(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}
