//go:build kubernetes

package kubernetes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// files is an image's file system in the making. There is no registry to take
// images from, so they are made of programs of this machine.
type files struct {
	t    *testing.T
	tar  *tar.Writer
	buf  bytes.Buffer
	have map[string]bool
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := &files{t: t, have: make(map[string]bool)}
	f.tar = tar.NewWriter(&f.buf)
	return f
}

// add copies a file, links followed, to a path in the image.
func (f *files) add(from, to string) {
	f.t.Helper()
	if f.have[to] {
		return
	}
	f.have[to] = true
	content, err := os.ReadFile(from)
	require.NoError(f.t, err)
	info, err := os.Stat(from)
	require.NoError(f.t, err)
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	require.NoError(f.t, f.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(to, "/"), Mode: mode, Size: int64(len(content))}))
	_, err = f.tar.Write(content)
	require.NoError(f.t, err)
}

// folder copies all below a folder but what skip names.
func (f *files) folder(from, to string, skip ...string) {
	f.t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		for _, name := range skip {
			if d.Name() == name {
				return filepath.SkipDir
			}
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil //nolint:nilerr // a dangling link, or a folder
		}
		f.add(path, to+strings.TrimPrefix(path, from))
		return nil
	})
	require.NoError(f.t, err)
}

// program copies a program with the libraries it is linked with.
func (f *files) program(path, to string) {
	f.t.Helper()
	f.add(path, to)
	out, err := exec.Command("ldd", path).CombinedOutput()
	if err != nil {
		return // it is linked with none
	}
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				f.add(word, word)
			}
		}
	}
}

// save writes the image, which runs as nobody in particular.
func (f *files) save(ref string, command ...string) string {
	f.t.Helper()
	require.NoError(f.t, f.tar.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(f.buf.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.NoCompression))
	require.NoError(f.t, err)
	img, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(f.t, err)
	config, err := img.ConfigFile()
	require.NoError(f.t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", goarch(f.t)
	config.Config = v1.Config{User: "65532:65532", WorkingDir: "/app", Env: []string{"PATH=/usr/bin"}, Entrypoint: command}
	img, err = mutate.ConfigFile(img, config)
	require.NoError(f.t, err)
	tag, err := name.NewTag(ref)
	require.NoError(f.t, err)
	file := filepath.Join(f.t.TempDir(), "image.tar")
	require.NoError(f.t, tarball.WriteToFile(file, tag, img))
	return file
}

func goarch(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOARCH").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// loadApps brings the images of the two apps and of Redis onto the node.
func (c cluster) loadApps(t *testing.T) {
	t.Helper()
	if strings.Contains(c.images(t), "docker.io/library/redis:7") {
		return // another story has
	}
	sample := filepath.Join("..", "..", "samples", "hello")

	node := newFiles(t)
	node.program(find(t, "/usr/bin/node"), "/usr/bin/node")
	if _, err := os.Stat("/usr/share/nodejs"); err == nil {
		node.folder("/usr/share/nodejs", "/usr/share/nodejs") // Debian keeps parts of Node outside it
	}
	node.folder(filepath.Join(sample, "node"), "/app")
	c.load(t, node.save("localhost/hello-node:1", "/usr/bin/node", "app.js"))

	python := newFiles(t)
	interpreter, err := filepath.EvalSymlinks(find(t, "/usr/bin/python3"))
	require.NoError(t, err)
	library := filepath.Join("/usr/lib", filepath.Base(interpreter))
	python.program(interpreter, "/usr/bin/python3")
	python.folder(library, library, "test", "dist-packages", "idlelib", "tkinter", "__pycache__")
	python.add(filepath.Join(sample, "python", "app.py"), "/app/app.py")
	c.load(t, python.save("localhost/hello-python:1", "/usr/bin/python3", "app.py"))

	redis := newFiles(t)
	redis.program(find(t, "/usr/bin/redis-server"), "/usr/bin/redis-server")
	redis.add("../../LICENSE", "/app/LICENSE") // the folder it works in
	c.load(t, redis.save("docker.io/library/redis:7", "/usr/bin/redis-server"))
}

// loadProbe builds the program probe for the node's platform, brings its image
// onto the node, and returns the path of the program.
func (c cluster) loadProbe(t *testing.T) string {
	t.Helper()
	program := filepath.Join(c.dir, "probe")
	if _, err := os.Stat(program); err == nil {
		return program // another story has built it
	}
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	f := newFiles(t)
	f.add(program, "/probe")
	f.add("../../LICENSE", "/app/LICENSE") // the folder it works in
	c.load(t, f.save("localhost/probe:1", "/probe"))
	return program
}

// find returns the path of a program that Debian has installed.
func find(t *testing.T, path string) string {
	t.Helper()
	_, err := os.Stat(path)
	require.NoError(t, err, "%s is missing: run .ci/deps apps", path)
	return path
}
