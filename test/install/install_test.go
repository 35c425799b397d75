//go:build linux

package install

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	is122 = "CLI version: 1.2.2 \nRuntime version: n/a\n"
	is123 = "CLI version: 1.2.3 \nRuntime version: n/a\n"
)

// pipes are the line that is everywhere to be read, with each downloader and shell.
var pipes = []string{
	"curl -fsSL URL | /bin/bash",
	"curl -fsSL URL | /bin/dash",
	"curl -fsSL URL | /bin/busybox sh",
	"wget -q URL -O - | /bin/bash",
	"wget -q URL -O - | /bin/dash",
	"wget -q URL -O - | /bin/busybox sh",
	"curl -fsSL URL | /bin/zsh",
}

// newPersonTypes has somebody type the line with the mirror's address, and
// returns what was printed.
func newPersonTypes(t *testing.T, m *mirror, line string) (*person, string) {
	t.Helper()
	p := newPerson(t, m, strings.Fields(line)[0], "sha256sum")
	line = strings.Replace(line, "URL", m.url+"/latest/download/install.sh", 1)
	out, err := p.command(t, "/bin/sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return p, string(out)
}

func TestPipe(t *testing.T) {
	m := newMirror(t)
	for _, line := range pipes {
		t.Run(line, func(t *testing.T) {
			p, out := newPersonTypes(t, m, line)
			assert.Equal(t, is123, p.installed(t))
			assert.Equal(t, ""+
				"Your system is "+strings.TrimSuffix(strings.TrimPrefix(archiveName, "dapr_"), ".tar.gz")+"\n"+
				"Downloading "+m.url+"/latest/download/"+archiveName+"\n"+
				"dapr was installed into "+p.dir+"\n"+
				"cli version: 1.2.3\n"+
				"runtime version: n/a\n"+
				"Your PATH lacks "+p.dir+". Add it:\n"+
				"  export PATH=\""+p.dir+":$PATH\"\n"+
				"and write that line into ~/.profile, for shells to come\n"+
				"To get started: dapr init, and https://"+module(t)+"/blob/main/docs/getting-started.md\n", out)
		})
	}
}

func TestOnlyBusybox(t *testing.T) {
	m := newMirror(t)
	p := busyboxPerson(t, m)
	_, err := p.install(t)
	require.NoError(t, err)
	assert.Equal(t, is123, p.installed(t))
}

func TestVersion(t *testing.T) {
	m := newMirror(t)
	for _, tt := range []struct {
		name     string
		args     []string
		variable string
		want     string
	}{
		{"latest", nil, "", is123},
		{"latest by name", []string{"latest"}, "1.2.2", is123},
		{"argument", []string{"1.2.2"}, "", is122},
		{"as it is tagged", []string{"v1.2.2"}, "", is122},
		{"variable", nil, "1.2.2", is122},
		{"argument before variable", []string{"1.2.3"}, "1.2.2", is123},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPerson(t, m, "curl", "sha256sum")
			p.env = append(p.env, "DAPR_INSTALL_VERSION="+tt.variable)
			_, err := p.install(t, tt.args...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, p.installed(t))
		})
	}
}

func TestChecksumPrograms(t *testing.T) {
	m := newMirror(t)
	for _, program := range []string{"sha256sum", "shasum", "openssl"} {
		t.Run(program, func(t *testing.T) {
			p := newPerson(t, m, "curl", program)
			_, err := p.install(t)
			require.NoError(t, err)
			assert.Equal(t, is123, p.installed(t))
		})
	}
}

// The program has its own owner and mode, not the archive's, and replaces what
// was there in one step, also while that is running.
func TestReplacesAnOlderOne(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	p.old(t)
	old, err := os.Open(filepath.Join(p.dir, "dapr"))
	require.NoError(t, err)
	defer old.Close()

	_, err = p.install(t)
	require.NoError(t, err)
	assert.Equal(t, is123, p.installed(t))
	info, err := os.Stat(filepath.Join(p.dir, "dapr"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode())
	assert.Equal(t, uint32(os.Getuid()), info.Sys().(*syscall.Stat_t).Uid)
	// A new file took the name; the old one was not written to.
	data, err := io.ReadAll(old)
	require.NoError(t, err)
	assert.Equal(t, standIn("1.0.0", nil), data)
}

// What is in PATH is named, so that nobody wonders why the old version answers.
func TestPath(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	p.path += ":" + p.dir
	out, err := p.install(t)
	require.NoError(t, err)
	assert.NotContains(t, out, "PATH")

	other := filepath.Join(t.TempDir(), "dapr")
	require.NoError(t, os.WriteFile(other, standIn("0.9.0", nil), 0o755))
	p.path = filepath.Dir(other) + ":" + p.path
	out, err = p.install(t)
	require.NoError(t, err)
	assert.Contains(t, out, "Another dapr comes first in your PATH: "+other+"\nRemove it, or let this one come first:\n  export PATH=")
}

// The folder by another name, or a link, is the same dapr.
func TestPathByAnotherName(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	links := t.TempDir()
	require.NoError(t, os.Symlink(p.dir, filepath.Join(links, "folder")))
	require.NoError(t, os.Mkdir(filepath.Join(links, "file"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(p.dir, "dapr"), filepath.Join(links, "file", "dapr")))
	path := p.path
	for _, first := range []string{p.dir + "/", filepath.Join(links, "folder"), filepath.Join(links, "file")} {
		p.path = first + ":" + path
		out, err := p.install(t)
		require.NoError(t, err)
		assert.NotContains(t, out, "PATH", first)
	}
}

// What the script says to type is typed, into the shell that it says it to.
func TestPathAdvice(t *testing.T) {
	m := newMirror(t)
	for _, tt := range []struct{ shell, system, profile string }{
		{"/bin/bash", "Linux", ".bashrc"},
		{"/bin/bash", "Darwin", ".bash_profile"},
		{"/bin/zsh", "Darwin", ".zshrc"},
		{"/bin/dash", "Linux", ".profile"},
	} {
		t.Run(tt.shell+" "+tt.system, func(t *testing.T) {
			files := map[string][]byte{archiveName: archive(t, standIn("1.2.3", nil))}
			files[strings.Replace(archiveName, "linux", "darwin", 1)] = files[archiveName]
			publish(t, m.folder, "1.2.3", files)
			p := newPerson(t, m, "curl", "sha256sum")
			p.machine(t, tt.system, map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH])
			p.dir = filepath.Join(filepath.Dir(p.dir), "a \"b\" $c `d` \\e")
			p.env = append(p.env, "SHELL="+tt.shell)
			out, err := p.install(t)
			require.NoError(t, err)
			advice := regexp.MustCompile(`Add it:\n  (.*)\nand write that line into ~/(\S+), for shells to come\n`).FindStringSubmatch(out)
			require.NotNil(t, advice)
			assert.Equal(t, tt.profile, advice[2])
			said, err := p.command(t, tt.shell, "-c", advice[1]+"\ndapr version").Output()
			require.NoError(t, err)
			assert.Equal(t, is123, string(said))
		})
	}
	p := newPerson(t, m, "curl", "sha256sum")
	p.env = append(p.env, "SHELL=/usr/bin/fish")
	out, err := p.install(t)
	require.NoError(t, err)
	assert.Contains(t, out, "Your PATH lacks "+p.dir+". Add it:\n  fish_add_path \""+p.dir+"\"\nTo get started")
}

// A link is replaced, and not what it leads to.
func TestLink(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	other := filepath.Join(t.TempDir(), "other")
	for _, present := range []bool{false, true} {
		if present {
			require.NoError(t, os.WriteFile(other, []byte("as it was"), 0o644))
		}
		require.NoError(t, os.MkdirAll(p.dir, 0o755))
		_ = os.Remove(filepath.Join(p.dir, "dapr"))
		require.NoError(t, os.Symlink(other, filepath.Join(p.dir, "dapr")))
		_, err := p.install(t)
		require.NoError(t, err)
		assert.Equal(t, is123, p.installed(t))
		info, err := os.Lstat(filepath.Join(p.dir, "dapr"))
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
	}
	data, err := os.ReadFile(other)
	require.NoError(t, err)
	assert.Equal(t, "as it was", string(data))
}

// A file that runs cannot be written to; its name can be given to another.
func TestReplacesARunningOne(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	busybox, err := exec.LookPath("busybox")
	require.NoError(t, err, "run make deps")
	program, err := os.ReadFile(busybox)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(p.dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "dapr"), program, 0o755))
	running := &exec.Cmd{Path: filepath.Join(p.dir, "dapr"), Args: []string{"cat"}}
	in, err := running.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, running.Start())
	require.ErrorIs(t, os.WriteFile(filepath.Join(p.dir, "dapr"), nil, 0o755), syscall.ETXTBSY)

	_, err = p.install(t)
	require.NoError(t, err)
	assert.Equal(t, is123, p.installed(t))
	require.NoError(t, in.Close())
	assert.NoError(t, running.Wait(), "it was not disturbed")
}

func TestPlatforms(t *testing.T) {
	m := newMirror(t)
	files := make(map[string][]byte)
	for _, platform := range builtPlatforms(t) {
		if !strings.HasPrefix(platform, "windows_") {
			files["dapr_"+platform+".tar.gz"] = archive(t, standIn("1.2.3", []byte(platform)))
		}
	}
	publish(t, m.folder, "1.2.3", files)
	seen := make(map[string]bool)
	for _, tt := range []struct {
		os, processor string
		rosetta       bool
		want          string
	}{
		{"Linux", "x86_64", false, "linux_amd64"},
		{"Linux", "aarch64", false, "linux_arm64"},
		{"Darwin", "x86_64", false, "darwin_amd64"},
		{"Darwin", "x86_64", true, "darwin_arm64"},
		{"Darwin", "arm64", false, "darwin_arm64"},
	} {
		t.Run(fmt.Sprint(tt.os, " ", tt.processor, " translated ", tt.rosetta), func(t *testing.T) {
			p := newPerson(t, m, "curl", "sha256sum")
			p.machine(t, tt.os, tt.processor)
			if tt.rosetta {
				p.program(t, "sysctl", `[ "$*" = "-n sysctl.proc_translated" ] && echo 1`)
			}
			out, err := p.install(t)
			require.NoError(t, err)
			assert.Contains(t, out, "Your system is "+tt.want+"\n")
			data, err := os.ReadFile(filepath.Join(p.dir, "dapr"))
			require.NoError(t, err)
			assert.Equal(t, standIn("1.2.3", []byte(tt.want)), data)
			seen["dapr_"+tt.want+".tar.gz"] = true
		})
	}
	assert.Len(t, seen, len(files), "a platform that is built cannot be installed")
}

// A download that ends early must not run half of the script.
func TestHalfAScriptDoesNothing(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	whole, err := os.ReadFile(script)
	require.NoError(t, err)
	text := strings.TrimRight(string(whole), "\n")
	var cuts []int
	for i := range text {
		if text[i] == '\n' || i > len(text)-20 {
			cuts = append(cuts, i)
		}
	}
	require.Greater(t, len(cuts), 100)
	for _, cut := range cuts {
		cmd := p.command(t, p.shell[0])
		cmd.Stdin = strings.NewReader(text[:cut])
		out, _ := cmd.CombinedOutput() // some halves are no valid script, and some are
		require.NotContains(t, string(out), "Your system is", "cut at byte %d", cut)
	}
	require.Empty(t, m.requests())
	require.NoDirExists(t, p.dir)
}

func TestHelp(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m)
	out, err := p.install(t, "--help")
	require.NoError(t, err)
	for _, word := range []string{"Usage: install.sh [VERSION]", "DAPR_INSTALL_DIR", "DAPR_INSTALL_VERSION", "DAPR_INSTALL_BASE_URL", "https://" + module(t) + "/releases"} {
		assert.Contains(t, out, word)
	}
	assert.Empty(t, m.requests())
}

// builtPlatforms are those of the Makefile.
func builtPlatforms(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	list := regexp.MustCompile(`(?m)^PLATFORMS := (.*)$`).FindSubmatch(makefile)
	require.NotNil(t, list)
	return strings.Fields(string(list[1]))
}

// module is the path in go.mod, from which the repository's address follows.
func module(t *testing.T) string {
	t.Helper()
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(mod), "\n")
	return strings.TrimPrefix(first, "module ")
}
