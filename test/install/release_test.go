//go:build linux

// Package install runs the installer as its users do, through a pipe, against
// releases that a server on this machine offers; and causes what can go wrong.
package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	script     = "../../install/install.sh"
	powershell = "../../install/install.ps1"
)

// archiveName is what a release calls the archive of this machine's platform.
var archiveName = "dapr_linux_" + runtime.GOARCH + ".tar.gz"

// archive packs files as a release does: the program beside others.
func archive(t *testing.T, program []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, f := range []struct {
		name string
		mode int64
		data []byte
	}{
		{"LICENSE", 0o644, []byte("a licence\n")},
		{"completions/dapr.bash", 0o644, []byte("complete\n")},
		// Neither the owner nor the mode of the archive may count.
		{"dapr", 0o700, program},
		{"man/dapr.1", 0o644, []byte(".TH\n")},
	} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Uid: 4711, Gid: 4711, Size: int64(len(f.data))}))
		_, err := w.Write(f.data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zipped.Close())
	return b.Bytes()
}

// standIn is a program that says which version it is, as dapr does, and is as
// large as the padding makes it.
func standIn(version string, padding []byte) []byte {
	return append([]byte("#!/bin/sh\nprintf 'CLI version: "+version+" \\nRuntime version: n/a\\n'\nexit\n"), padding...)
}

// publish lays files out under a folder as a release: that version, and the
// latest. The installers lie beside them.
func publish(t *testing.T, folder, version string, files map[string][]byte) {
	t.Helper()
	dir := filepath.Join(folder, "download", "v"+version)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	var sums strings.Builder
	for name, data := range files {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checksums.txt"), []byte(sums.String()), 0o644))
	installer, err := os.ReadFile(script)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "install.sh"), installer, 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "latest"), 0o755))
	latest := filepath.Join(folder, "latest", "download")
	_ = os.Remove(latest) // an earlier release's
	require.NoError(t, os.Symlink(filepath.Join("..", "download", "v"+version), latest))
}

// mirror is a plain web server with releases.
type mirror struct {
	folder string
	url    string

	mu       sync.Mutex
	asked    []string
	override map[string]http.HandlerFunc
}

// newMirror offers the stand-in as release 1.2.3, and an older one.
func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{folder: t.TempDir(), override: make(map[string]http.HandlerFunc)}
	for _, version := range []string{"1.2.2", "1.2.3"} {
		publish(t, m.folder, version, map[string][]byte{archiveName: archive(t, standIn(version, nil))})
	}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked = append(m.asked, r.URL.Path)
	handler := m.override[filepath.Base(r.URL.Path)]
	m.mu.Unlock()
	if handler == nil {
		handler = http.FileServer(http.Dir(m.folder)).ServeHTTP
	}
	handler(w, r)
}

// answer has a handler of the test's own serve the files of that name.
func (m *mirror) answer(name string, handler http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.override[name] = handler
}

// requests are the paths that were asked for so far.
func (m *mirror) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

// person is who installs: a shell, the programs in PATH, and a folder.
type person struct {
	shell []string
	path  string
	dir   string
	env   []string
	// uid is not 0 where somebody other than root installs.
	uid int
}

// basics are what the script needs beside a shell, a downloader and a program
// for checksums.
var basics = []string{"uname", "mktemp", "tar", "gzip", "cut", "sed", "rm", "mv", "mkdir", "chmod", "chown", "dirname", "id", "dd", "df", "awk", "cat"}

// newPerson has a PATH with the basics and the named programs alone, and installs
// out of the mirror.
func newPerson(t *testing.T, m *mirror, programs ...string) *person {
	t.Helper()
	p := &person{shell: []string{"/bin/sh"}, path: t.TempDir(), dir: filepath.Join(t.TempDir(), "bin")}
	for _, program := range slices.Concat(basics, programs) {
		found, err := exec.LookPath(program)
		require.NoError(t, err, "run make deps")
		require.NoError(t, os.Symlink(found, filepath.Join(p.path, program)))
	}
	p.env = []string{"DAPR_INSTALL_BASE_URL=" + m.url}
	return p
}

// busyboxPerson has nothing but busybox.
func busyboxPerson(t *testing.T, m *mirror) *person {
	t.Helper()
	p := newPerson(t, m)
	p.path = t.TempDir()
	installBusybox(t, p.path)
	p.shell = []string{filepath.Join(p.path, "sh")}
	return p
}

// installBusybox puts busybox and a link for each of its programs into a folder.
func installBusybox(t *testing.T, dir string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err, "run make deps")
	data, err := os.ReadFile(busybox)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "busybox"), data, 0o755))
	list, err := exec.Command(busybox, "--list").Output()
	require.NoError(t, err)
	for applet := range strings.FieldsSeq(string(list)) {
		if applet != "busybox" {
			require.NoError(t, os.Symlink("busybox", filepath.Join(dir, applet)))
		}
	}
}

// program puts a shell script into the person's PATH, in place of what is there.
func (p *person) program(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(p.path, name)
	_ = os.Remove(file) // where there is one
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
}

// machine has uname name another system and processor.
func (p *person) machine(t *testing.T, system, processor string) {
	t.Helper()
	p.program(t, "uname", "case $1 in -s) echo '"+system+"' ;; -m) echo '"+processor+"' ;; esac")
}

// command runs a program with the person's rights and environment.
func (p *person) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	// Without SHELL bash sets it to the one in the list of users.
	cmd.Env = append([]string{"PATH=" + p.path, "SHELL=/bin/sh", "DAPR_INSTALL_DIR=" + p.dir}, p.env...)
	if p.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.uid)}}
	}
	return cmd
}

// install runs the script through a pipe and returns all that it printed.
func (p *person) install(t *testing.T, args ...string) (string, error) {
	t.Helper()
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	cmd := p.command(t, p.shell[0], slices.Concat(p.shell[1:], []string{"-s", "--"}, args)...)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return string(out), err
}

// old puts an older dapr into the person's folder.
func (p *person) old(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(p.dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "dapr"), standIn("1.0.0", nil), 0o755))
}

// installed returns what the person's dapr says of itself, and checks that
// nothing else lies beside it or above it.
func (p *person) installed(t *testing.T) string {
	t.Helper()
	require.Equal(t, []string{"dapr"}, list(t, p.dir))
	require.Equal(t, []string{"bin"}, list(t, filepath.Dir(p.dir)))
	out, err := exec.Command(filepath.Join(p.dir, "dapr"), "version").Output()
	require.NoError(t, err)
	return string(out)
}

// list returns the names in a folder.
func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
