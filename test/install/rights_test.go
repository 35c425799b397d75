//go:build linux

package install

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nobody installs into a folder that only root may write.
func nobody(t *testing.T, m *mirror) *person {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else: run this as root")
	}
	p := newPerson(t, m, "curl", "sha256sum")
	p.uid = 65534
	// The folders of a test are its own otherwise.
	for _, dir := range []string{p.path, filepath.Dir(p.dir)} {
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
	require.NoError(t, os.Mkdir(p.dir, 0o755))
	return p
}

func TestNoPermission(t *testing.T) {
	m := newMirror(t)
	p := nobody(t, m)
	out := p.fails(t)
	assert.Contains(t, out, "ERROR: no permission to write into "+p.dir+"\n")
	assert.Contains(t, out, "set DAPR_INSTALL_DIR to a folder of yours, for example $HOME/.local/bin, or run this as root\n")
	assert.Empty(t, m.requests(), "found out before anything is downloaded")
}

// A folder of one's own needs no other rights, and is made when it is missing.
func TestOwnFolder(t *testing.T) {
	m := newMirror(t)
	p := nobody(t, m)
	require.NoError(t, os.Chown(p.dir, p.uid, p.uid))
	p.program(t, "sudo", "echo sudo was called; exit 1")
	p.dir = filepath.Join(p.dir, "a", "b")
	_, err := p.install(t)
	require.NoError(t, err)
	assert.Equal(t, []string{"dapr"}, list(t, p.dir))

	// As root neither.
	p.uid = 0
	p.dir = filepath.Join(t.TempDir(), "bin")
	_, err = p.install(t)
	require.NoError(t, err)
	assert.Equal(t, is123, p.installed(t))
}

// What root installs is for everybody, whatever root keeps for itself.
func TestRootsMask(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root installs for others: run this as root")
	}
	p := newPerson(t, newMirror(t), "curl", "sha256sum")
	out, err := p.command(t, "/bin/sh", "-c", "umask 077; exec /bin/sh "+script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, is123, p.installed(t))
	info, err := os.Stat(p.dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())
}

// With sudo the program becomes root's, and nothing else runs with root's rights.
func TestSudo(t *testing.T) {
	m := newMirror(t)
	p := nobody(t, m)
	rights := withRights(t, p)
	p.old(t)
	p.program(t, "sudo", `echo "sudo $*" >>`+rights+`/log; exec `+rights+`/setpriv --reuid 0 --regid 0 --clear-groups "$@"`)
	out, err := p.install(t)
	require.NoError(t, err)
	assert.Contains(t, out, p.dir+" is not yours to write: using sudo, which may ask for your password\n")
	assert.Equal(t, is123, p.installed(t))
	info, err := os.Stat(filepath.Join(p.dir, "dapr"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode())
	assert.Equal(t, [2]uint32{0, 0}, [2]uint32{info.Sys().(*syscall.Stat_t).Uid, info.Sys().(*syscall.Stat_t).Gid})
	log, err := os.ReadFile(filepath.Join(rights, "log"))
	require.NoError(t, err)
	assert.Regexp(t, `^sudo mktemp -d .*
sudo chown 65534 .*
sudo mkdir -p .*
sudo chown 0:0 .*/dapr
sudo mv -f .*/dapr .*/dapr
sudo rm -rf .*
$`, string(log))
}

// A password that nobody knows.
func TestSudoRefuses(t *testing.T) {
	m := newMirror(t)
	p := nobody(t, m)
	p.program(t, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
	out := p.fails(t)
	assert.Contains(t, out, "sudo: a password is required\n")
	assert.Contains(t, out, "ERROR: could not make a temporary folder in "+p.dir+"; the reason is above\n")
	assert.Empty(t, m.requests())
}

// withRights makes a folder with a program that runs another as root, whoever
// asks: what sudo needs a password and a configuration for.
func withRights(t *testing.T, p *person) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	setpriv, err := exec.LookPath("setpriv")
	require.NoError(t, err)
	data, err := os.ReadFile(setpriv)
	require.NoError(t, err)
	copied := filepath.Join(dir, "setpriv")
	require.NoError(t, os.WriteFile(copied, data, 0o755))
	require.NoError(t, os.Chmod(copied, 0o755|os.ModeSetuid))
	if p.command(t, copied, "--reuid", "0", "id").Run() != nil {
		t.Skipf("%s gives no rights away: is it on a file system without set-user-ID?", dir)
	}
	return dir
}

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk: run this as root")
	}
	// What cannot be compressed, so that the archive is as large.
	large := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	packed := archive(t, standIn("1.2.4", large))
	for _, tt := range []struct{ name, size string }{
		{"for the archive", "size=400k"},
		{"for the program", "size=1500k"},
	} {
		for _, name := range downloaders {
			t.Run(tt.name+" with "+name, func(t *testing.T) {
				m := newMirror(t)
				publish(t, m.folder, "1.2.4", map[string][]byte{archiveName: packed})
				p := newPersonWith(t, m, name)
				disk := t.TempDir()
				if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, tt.size); err != nil {
					t.Skipf("no disk can be mounted here: %v", err)
				}
				t.Cleanup(func() { assert.NoError(t, syscall.Unmount(disk, 0)) })
				p.dir = filepath.Join(disk, "bin")
				out := p.fails(t)
				assert.Regexp(t, `ERROR: the disk is full: `+p.dir+` has [01] MB left, and dapr needs about 150 MB while it is installed
       make room, or set DAPR_INSTALL_DIR to a folder on another disk
$`, out)
			})
		}
	}
}
