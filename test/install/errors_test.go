//go:build linux

package install

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// downloaders are three programs of two names.
var downloaders = []string{"curl", "wget", "busybox wget"}

// newPersonWith has that downloader; beside busybox's it has nothing else.
func newPersonWith(t *testing.T, m *mirror, downloader string) *person {
	t.Helper()
	if downloader == "busybox wget" {
		return busyboxPerson(t, m)
	}
	return newPerson(t, m, downloader, "sha256sum")
}

// fails installs, and checks that it says why and that nothing has changed: the
// older dapr is there, and nothing beside it.
func (p *person) fails(t *testing.T, args ...string) string {
	t.Helper()
	p.old(t)
	out, err := p.install(t, args...)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Equal(t, "CLI version: 1.0.0 \nRuntime version: n/a\n", p.installed(t))
	assert.NotContains(t, out, "was installed into")
	return out
}

func TestWrongChecksum(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			right := fmt.Sprintf("%x", sha256.Sum256(archive(t, standIn("1.2.3", nil))))
			swapped := archive(t, standIn("6.6.6", nil))
			m.answer(archiveName, func(w http.ResponseWriter, _ *http.Request) { w.Write(swapped) })
			out := newPersonWith(t, m, name).fails(t)
			assert.Contains(t, out, "ERROR: wrong checksum of "+m.url+"/latest/download/"+archiveName+"; nothing was installed\n")
			assert.Contains(t, out, "       expected "+right+"\n")
			assert.Contains(t, out, "       got      "+fmt.Sprintf("%x", sha256.Sum256(swapped))+"\n")
		})
	}
}

func TestNoChecksum(t *testing.T) {
	m := newMirror(t)
	// As a network that asks for a login first answers everything.
	m.answer("checksums.txt", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Log in</html>\n") })
	out := newPerson(t, m, "curl", "sha256sum").fails(t)
	assert.Contains(t, out, "ERROR: "+m.url+"/latest/download/checksums.txt has no checksum of "+archiveName+"\n")
	assert.NotContains(t, m.requests(), "/latest/download/"+archiveName)
}

func TestNoSuchVersion(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			out := newPersonWith(t, m, name).fails(t, "9.9.9")
			assert.Contains(t, out, "ERROR: there is no file "+m.url+"/download/v9.9.9/checksums.txt\n")
			assert.Contains(t, out, "is there a version 9.9.9 for ")
			assert.Contains(t, out, "See "+m.url+"\n")
		})
	}
}

func TestNoReleases(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	p.env = []string{"DAPR_INSTALL_BASE_URL=" + m.url + "/elsewhere"}
	out := p.fails(t)
	assert.Contains(t, out, "does DAPR_INSTALL_BASE_URL name a place with releases? It is "+m.url+"/elsewhere\n")
}

func TestNotAVersion(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	for _, version := range []string{"../../etc", "1.2.3 4", "-1", "v", "1.2.3\n"} {
		out := p.fails(t, version)
		assert.Contains(t, out, "is no version; for example: 1.2.3\n")
	}
	out := p.fails(t, "1.2.3", "1.2.2")
	assert.Contains(t, out, "ERROR: one version at most: 1.2.3 1.2.2\n")
	assert.Empty(t, m.requests())
}

func TestUnknownPlatform(t *testing.T) {
	for _, tt := range []struct{ system, processor, want string }{
		{"SunOS", "i86pc", "uname says SunOS i86pc"},
		{"Linux", "riscv64", "uname says Linux riscv64"},
		{"Linux", "armv7l", "uname says Linux armv7l"},
	} {
		t.Run(tt.system+" "+tt.processor, func(t *testing.T) {
			m := newMirror(t)
			p := newPerson(t, m, "curl", "sha256sum")
			p.machine(t, tt.system, tt.processor)
			out := p.fails(t)
			assert.Contains(t, out, tt.want+"\n")
			assert.Contains(t, out, "supported: linux_amd64 linux_arm64 darwin_amd64 darwin_arm64, and Windows with install.ps1\n")
			assert.Empty(t, m.requests())
		})
	}
}

func TestWindowsShell(t *testing.T) {
	for _, system := range []string{"MINGW64_NT-10.0-22631", "MSYS_NT-10.0", "CYGWIN_NT-10.0"} {
		m := newMirror(t)
		p := newPerson(t, m, "curl", "sha256sum")
		p.machine(t, system, "x86_64")
		out := p.fails(t)
		assert.Contains(t, out, "a shell on Windows ("+system+")")
		assert.Contains(t, out, "irm "+m.url+"/latest/download/install.ps1 | iex\n")
	}
}

func TestMissingPrograms(t *testing.T) {
	for _, tt := range []struct {
		programs []string
		want     string
	}{
		{[]string{"sha256sum"}, "ERROR: neither curl nor wget is installed: install one of them\n"},
		{[]string{"curl"}, "ERROR: cannot verify a checksum: none of sha256sum, shasum and openssl is installed; install one of them\n"},
	} {
		m := newMirror(t)
		out := newPerson(t, m, tt.programs...).fails(t)
		assert.Contains(t, out, tt.want)
		assert.Empty(t, m.requests())
	}
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	require.NoError(t, os.Remove(filepath.Join(p.path, "tar")))
	assert.Contains(t, p.fails(t), "ERROR: tar is not installed: install it\n")
}

func TestNoNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			p := newPersonWith(t, newMirror(t), name)
			p.env = []string{"DAPR_INSTALL_BASE_URL=" + nobody}
			out := p.fails(t)
			assert.Regexp(t, "(?i)refused|couldn't connect|failed to connect", out, "the downloader's own words")
			assert.Contains(t, out, "ERROR: could not download "+nobody+"/latest/download/checksums.txt: "+strings.TrimPrefix(name, "busybox ")+" ended with code ")
			assert.Contains(t, out, "behind a proxy set https_proxy")
		})
	}
}

// The server goes away in the middle of the archive.
func TestInterruptedDownload(t *testing.T) {
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			whole := archive(t, standIn("1.2.3", nil))
			m.answer(archiveName, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
				w.Write(whole[:len(whole)/2])
				panic(http.ErrAbortHandler)
			})
			out := newPersonWith(t, m, name).fails(t)
			assert.Contains(t, out, "ERROR: could not download "+m.url+"/latest/download/"+archiveName+": ")
		})
	}
}

// shells run the script by themselves or as an applet.
var shells = []string{"bash", "dash", "busybox sh", "zsh"}

// startsInstalling runs the script until the archive is half there, and returns
// the process, which leads a group, and its output.
func (p *person) startsInstalling(t *testing.T, m *mirror, shell string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	arrived, over := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over) })
	m.answer(archiveName, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		close(arrived)
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	cmd := p.command(t, "/bin/"+strings.Fields(shell)[0], append(strings.Fields(shell)[1:], script)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	select {
	case <-arrived:
	case <-time.After(30 * time.Second):
		t.Error("the archive was not asked for")
	}
	return cmd, &out
}

// Ctrl-C and its like in the middle of the archive.
func TestInterrupted(t *testing.T) {
	for _, shell := range shells {
		for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGHUP: 129, syscall.SIGQUIT: 131, syscall.SIGTERM: 143} {
			t.Run(shell+" "+signal.String(), func(t *testing.T) {
				m := newMirror(t)
				p := newPerson(t, m, "curl", "sha256sum")
				p.old(t)
				cmd, out := p.startsInstalling(t, m, shell)
				require.NoError(t, syscall.Kill(-cmd.Process.Pid, signal))
				err := cmd.Wait()
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit, "%s", out)
				assert.Equal(t, code, exit.ExitCode())
				assert.Equal(t, "CLI version: 1.0.0 \nRuntime version: n/a\n", p.installed(t))
			})
		}
	}
}

// Whoever reads what is said has enough of it.
func TestReaderGoesAway(t *testing.T) {
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			m := newMirror(t)
			p := newPerson(t, m, "curl", "sha256sum")
			p.old(t)
			cmd := p.command(t, "/bin/"+strings.Fields(shell)[0], append(strings.Fields(shell)[1:], script)...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			// It has a folder of its own by the time that it speaks again.
			mktemp, err := exec.LookPath("mktemp")
			require.NoError(t, err)
			gone := filepath.Join(t.TempDir(), "gone")
			p.program(t, "mktemp", "until [ -e "+gone+" ]; do :; done; exec "+mktemp+" \"$@\"")
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			assert.Contains(t, line, "Your system is")
			require.NoError(t, out.Close())
			require.NoError(t, os.WriteFile(gone, nil, 0o644))
			require.Error(t, cmd.Wait())
			assert.Equal(t, "CLI version: 1.0.0 \nRuntime version: n/a\n", p.installed(t))
		})
	}
}

// Killed, it leaves a folder of its own, which the next one clears away; and
// one that still runs keeps its own.
func TestKilled(t *testing.T) {
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			killed := newMirror(t)
			p := newPerson(t, killed, "curl", "sha256sum")
			p.old(t)
			cmd, _ := p.startsInstalling(t, killed, shell)
			require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
			require.Error(t, cmd.Wait())
			left := list(t, p.dir)
			require.Len(t, left, 2)
			assert.Regexp(t, `^\.dapr-install\.`, left[0])

			slow := newMirror(t)
			p.env = []string{"DAPR_INSTALL_BASE_URL=" + slow.url}
			running, out := p.startsInstalling(t, slow, shell)
			p.env = []string{"DAPR_INSTALL_BASE_URL=" + newMirror(t).url}
			_, err := p.install(t)
			require.NoError(t, err)
			others := list(t, p.dir)
			require.Len(t, others, 2, "%s", others)
			assert.NotEqual(t, left[0], others[0])

			require.NoError(t, syscall.Kill(-running.Process.Pid, syscall.SIGINT))
			require.Error(t, running.Wait(), "%s", out)
			assert.Equal(t, is123, p.installed(t))
		})
	}
}

// The last step fails, as it does where a file must not be changed.
func TestCannotBePutThere(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	p.program(t, "mv", "echo 'mv: Operation not permitted' >&2; exit 1")
	out := p.fails(t)
	assert.Contains(t, out, "mv: Operation not permitted\nERROR: could not put dapr into "+p.dir+"; the reason is above\n")
}

func TestProgramDoesNotRun(t *testing.T) {
	for name, program := range map[string][]byte{
		"ends with an error": []byte("#!/bin/sh\nexit 3\n"),
		"is for another":     []byte("\x7fELF\x02\x01\x01 of another machine"),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			publish(t, m.folder, "1.2.4", map[string][]byte{archiveName: archive(t, program)})
			out := newPerson(t, m, "curl", "sha256sum").fails(t)
			assert.Contains(t, out, "ERROR: the program does not run on this machine; nothing was installed\n")
		})
	}
}

func TestNoArchive(t *testing.T) {
	m := newMirror(t)
	publish(t, m.folder, "1.2.4", map[string][]byte{archiveName: []byte("not an archive")})
	for _, name := range downloaders {
		t.Run(name, func(t *testing.T) {
			out := newPersonWith(t, m, name).fails(t)
			assert.Contains(t, out, "ERROR: could not unpack dapr from "+m.url+"/latest/download/"+archiveName+"; nothing was installed\n")
		})
	}
}

func TestFolderInTheWay(t *testing.T) {
	m := newMirror(t)
	p := newPerson(t, m, "curl", "sha256sum")
	require.NoError(t, os.MkdirAll(filepath.Join(p.dir, "dapr", "mine"), 0o755))
	out, err := p.install(t)
	require.Error(t, err)
	assert.Contains(t, out, "ERROR: "+p.dir+"/dapr is a folder; move it away, or set DAPR_INSTALL_DIR to another folder\n")
	assert.Equal(t, []string{"mine"}, list(t, filepath.Join(p.dir, "dapr")))

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	p.dir = filepath.Join(file, "bin")
	out, err = p.install(t)
	require.Error(t, err)
	assert.Contains(t, out, "ERROR: "+file+" is no folder; set DAPR_INSTALL_DIR to one\n")

	nowhere := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("nowhere", nowhere))
	p.dir = filepath.Join(nowhere, "bin")
	asked := len(m.requests())
	out, err = p.install(t)
	require.Error(t, err)
	assert.Contains(t, out, "ERROR: "+nowhere+" is no folder; set DAPR_INSTALL_DIR to one\n")
	assert.Len(t, m.requests(), asked, "found out before anything is downloaded")
}
