package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/version"
)

const (
	daprd        = "daprd"
	controlPlane = "controlplane"
)

// Source is where the programs come from: the CLI's own load, or else the
// folder the CLI lies in.
type Source struct {
	// Payload is embed.Payload, empty in a CLI built without one.
	Payload fs.FS
	// LinuxPayloads are embed.LinuxPayloads, which images are made of.
	LinuxPayloads []fs.FS
	// Beside is the folder of the CLI's executable.
	Beside string
	// Version is the CLI's.
	Version string
}

// NewSource returns the source of the CLI that runs from the given file.
func NewSource(executable string) Source {
	return Source{
		Payload:       embed.Payload(),
		LinuxPayloads: embed.LinuxPayloads(),
		Beside:        filepath.Dir(executable),
		Version:       version.Version(),
	}
}

// FindDaprd returns the sidecar's program of this CLI's version. It brings the
// installed one up to date when the CLI carries another, and takes the one
// beside the CLI when it carries none.
func FindDaprd(ctx context.Context, l Layout, s Source) (string, error) {
	manifest, err := s.manifest()
	if err != nil {
		return "", err
	}
	if manifest == nil {
		return s.findWithoutPayload(l)
	}
	if inv, err := readInventory(l); err == nil && isCurrent(l, inv, manifest) {
		return l.Daprd(), nil
	}
	if _, err := install(ctx, l, s, nil, trusting); err != nil {
		return "", err
	}
	return l.Daprd(), nil
}

func (s Source) findWithoutPayload(l Layout) (string, error) {
	beside := filepath.Join(s.Beside, executableName(daprd))
	if isFile(beside) {
		return beside, nil
	}
	inv, err := readInventory(l)
	if err != nil {
		return "", err
	}
	if inv.Version == s.Version && isFile(l.Daprd()) {
		return l.Daprd(), nil
	}
	return "", s.missing(l)
}

func (s Source) missing(l Layout) error {
	return fmt.Errorf(`no daprd of version %s: neither %s nor %s is one, and this dapr was built without any inside; run "make build" in the source tree and use its bin/dapr, or "go build -o %s ./cmd/daprd"`,
		s.Version, filepath.Join(s.Beside, executableName(daprd)), l.Daprd(), filepath.Join(s.Beside, executableName(daprd)))
}

// manifest returns nil when the CLI carries no programs.
func (s Source) manifest() (*embed.Manifest, error) {
	data, err := fs.ReadFile(s.Payload, embed.ManifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no payload is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the payload's manifest: %w", err)
	}
	var m embed.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read the payload's manifest: %w", err)
	}
	return &m, nil
}

// programs lists what the source has. The manifest of a source without payload
// is made from the files beside the CLI.
func (s Source) programs(l Layout) (*embed.Manifest, error) {
	m, err := s.manifest()
	if m != nil || err != nil {
		return m, err
	}
	m = &embed.Manifest{Version: s.Version}
	for _, name := range []string{daprd, controlPlane} {
		path := filepath.Join(s.Beside, executableName(name))
		if !isFile(path) || path == l.program(name) {
			continue
		}
		sum, size, err := hashFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		m.Programs = append(m.Programs, embed.Program{Name: name, Size: size, SHA256: sum})
	}
	return m, nil
}

// Open returns the content of a program, whose name has no ".exe".
func (s Source) Open(name string) (io.ReadCloser, error) {
	program, err := embed.Open(s.Payload, name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(filepath.Join(s.Beside, executableName(name)))
	}
	return program, err
}

// isCurrent tells whether the installed programs are those of the manifest. The
// content is not read again: it was checked when it was put there.
func isCurrent(l Layout, inv inventory, m *embed.Manifest) bool {
	for _, p := range m.Programs {
		if !isInstalled(l, inv, p) {
			return false
		}
	}
	return inv.Version == m.Version
}

func isInstalled(l Layout, inv inventory, p embed.Program) bool {
	path := l.program(p.Name)
	made, ok := inv.find(l.relative(path))
	if !ok || made.SHA256 != p.SHA256 {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == p.Size
}

// isWhole tells whether the installed program is the manifest's, byte by byte.
func isWhole(l Layout, p embed.Program) bool {
	sum, _, err := hashFile(l.program(p.Name))
	return err == nil && sum == p.SHA256
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
