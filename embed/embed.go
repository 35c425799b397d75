// Package embed is every file compiled in that is not Go: what init writes, and
// the programs the CLI carries when it was built with the tag "payload".
package embed

import (
	"embed"
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

//go:embed selfhosted
var selfhosted embed.FS

// Selfhosted is what init writes below the runtime's folder, as text/template
// files.
func Selfhosted() fs.FS { return sub(selfhosted, "selfhosted") }

// The chart has files that begin with "_" and ".", which embed leaves out unless
// it is told not to.
//
//go:embed all:chart
var chart embed.FS

// Chart is the Helm chart that installs the control plane into Kubernetes.
func Chart() fs.FS { return sub(chart, "chart") }

// CRDs are the CustomResourceDefinitions of the chart, one a file.
func CRDs() fs.FS { return sub(chart, "chart/crds") }

//go:embed dev
var dev embed.FS

// Dev are the resources that "dapr init -k --dev" creates.
func Dev() fs.FS { return sub(dev, "dev") }

// Payload holds the programs for the platform the CLI was built for, each as
// NAME.zst, and ManifestFile, which describes them. It is empty in a CLI built
// without the tag "payload".
func Payload() fs.FS { return sub(payload, payloadFolder(runtime.GOOS, runtime.GOARCH)) }

// LinuxPayloads are the payloads for Linux that the CLI carries beside its own:
// images are made of them, on every platform. There is one for each processor
// whose programs were packed before the CLI was built, amd64 first.
func LinuxPayloads() []fs.FS { return linuxPayloads(payload) }

func linuxPayloads(files fs.FS) []fs.FS {
	var all []fs.FS
	for _, processor := range []string{"amd64", "arm64"} {
		folder := payloadFolder("linux", processor)
		if _, err := fs.Stat(files, path.Join(folder, ManifestFile)); err == nil {
			all = append(all, sub(files, folder))
		}
	}
	return all
}

func payloadFolder(system, processor string) string { return "payload/" + system + "_" + processor }

// Open returns the content of a payload's program, unpacked. The error is
// fs.ErrNotExist when the payload has no such program.
func Open(payload fs.FS, program string) (io.ReadCloser, error) {
	packed, err := payload.Open(PackedFile(program))
	if err != nil {
		return nil, err
	}
	r, err := zstd.NewReader(packed)
	if err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	return r.IOReadCloser(), nil
}

// ManifestFile is the name of the payload's list, a Manifest in JSON.
const ManifestFile = "manifest.json"

// Manifest describes the programs of a payload.
type Manifest struct {
	// Version is that of the programs.
	Version  string    `json:"version"`
	Programs []Program `json:"programs"`
}

// Program is one program as it is when unpacked.
type Program struct {
	// Name has no ".exe", nor has the name of the packed file.
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hex digits.
	SHA256 string `json:"sha256"`
}

// PackedFile is the name of a packed program.
func PackedFile(program string) string { return program + ".zst" }

func sub(files fs.FS, folder string) fs.FS {
	s, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the folder's name is a constant that is no valid path
	}
	return s
}
