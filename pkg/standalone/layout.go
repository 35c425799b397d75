// Package standalone is the runtime on a machine of its own: it lays out the
// runtime's folder, puts the programs there and takes them away, and starts,
// lists and stops apps with their sidecars.
package standalone

import (
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hyperdapr/dapr/pkg/instances"
)

// Layout is the runtime's folder, ~/.dapr unless told otherwise, and the one
// place that knows what lies where in it.
type Layout struct {
	// Root is the folder's absolute path.
	Root string
}

// FolderName is the runtime folder's name below the home folder or below the
// one given with --runtime-path.
const FolderName = ".dapr"

// Bin is the folder of the programs.
func (l Layout) Bin() string { return filepath.Join(l.Root, "bin") }

// Daprd is the sidecar's program.
func (l Layout) Daprd() string { return l.program("daprd") }

// ControlPlane is the program of the control plane's services.
func (l Layout) ControlPlane() string { return l.program("controlplane") }

func (l Layout) program(name string) string { return filepath.Join(l.Bin(), executableName(name)) }

// Components is the folder of the resources every app gets that names none.
func (l Layout) Components() string { return filepath.Join(l.Root, "components") }

// Config is the Configuration every app gets that names none.
func (l Layout) Config() string { return l.absolute(configFile) }

// Instances is the registry of the sidecars that run now.
func (l Layout) Instances() string { return instances.Folder(l.Root) }

// Logs is the folder of the apps' and sidecars' logs.
func (l Layout) Logs() string { return filepath.Join(l.Root, "logs") }

// Data is the folder of what the embedded stores keep.
func (l Layout) Data() string { return filepath.Join(l.Root, "data") }

// StateDB is the database behind the default state store.
func (l Layout) StateDB() string { return filepath.Join(l.Data(), "statestore.db") }

// Inventory is the list of what Init made.
func (l Layout) Inventory() string { return filepath.Join(l.Root, "inventory.json") }

// CLIConfig is the file that gives the CLI's flags other defaults.
func (l Layout) CLIConfig() string { return filepath.Join(l.Root, "cli.yaml") }

func executableName(program string) string {
	if runtime.GOOS == "windows" {
		return program + ".exe"
	}
	return program
}

// fileURI names a file in a way that survives blanks, percent signs and
// question marks, and on Windows back slashes and drives.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/… becomes file:///C:/…
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
