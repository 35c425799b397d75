package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// checkFolder looks at the runtime folder: whose it is, and who may do what in
// it.
func checkFolder(_ context.Context, m *Machine) ([]Finding, error) {
	l := m.Layout
	info0, err := os.Stat(l.Root)
	if errors.Is(err, fs.ErrNotExist) {
		if target, err := os.Readlink(l.Root); err == nil {
			return []Finding{fault("%s is a link to %s, which is not there", l.Root, target).
				because("the runtime cannot be installed, and no app run").mend("mkdir -p %s, or: rm %s", target, l.Root)}, nil
		}
		if parent := nearestFolder(l.Root); !writable(parent) {
			return []Finding{fault("there is no runtime folder %s, and you may not write to %s", l.Root, parent).
				because("\"dapr init\" and \"dapr run\" cannot make it").
				mend("sudo install -d -o %d %s, or choose another folder: dapr init --runtime-path FOLDER", m.UserID, l.Root)}, nil
		}
		return []Finding{info("there is no runtime folder %s yet", l.Root).
			because("\"dapr run\" makes it, too").mend("dapr init")}, nil
	}
	if err != nil {
		return nil, err
	}
	if !info0.IsDir() {
		return []Finding{fault("%s is a file, but must be a folder", l.Root).mend("move it away, and run \"dapr init\"")}, nil
	}
	if runtime.GOOS == "windows" {
		return []Finding{okay("%s is there", l.Root)}, nil // permissions are lists there, inherited from the home folder
	}
	found := m.owners()
	for _, p := range []struct {
		path string
		// forbidden are the bits that must not be set, and needed those that must.
		forbidden, needed fs.FileMode
		level             Level
		why               string
	}{
		{l.Root, 0o022, 0o700, Error, "others may replace the programs that you run"},
		{l.Bin(), 0o022, 0o700, Error, "others may replace the programs that you run"},
		{l.Daprd(), 0o022, 0o500, Error, "the sidecar cannot be started, or others may replace it"},
		{l.ControlPlane(), 0o022, 0o500, Error, "the services cannot be started, or others may replace them"},
		{l.Components(), 0o022, 0o700, Error, "others may decide where your apps keep their state"},
		{l.Config(), 0o022, 0o400, Error, "others may change what your apps are allowed to do"},
		{l.Data(), 0o077, 0o700, Warning, "others may read the state of your apps"},
		{l.Logs(), 0o077, 0o700, Warning, "others may read what your apps log"},
		{l.Instances(), 0o077, 0o700, Warning, "others may tell your apps where to find each other"},
	} {
		if f, wrong := checkMode(p.path, p.forbidden, p.needed, p.level, p.why); wrong {
			found = append(found, f)
		}
	}
	for _, path := range []string{l.Bin(), l.Components(), l.Data(), l.Logs(), l.Instances()} {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			found = append(found, fault("%s is a file, but must be a folder", path).mend("mv %s %s.old", path, path))
		}
	}
	if len(found) == 0 && !writable(l.Root) {
		found = append(found, fault("you may not write to %s", l.Root).
			because("its disk is read-only, or an access list forbids it; nothing can be installed, and apps cannot save their state").
			mend("mount -o remount,rw the disk, or choose another folder: dapr init --runtime-path FOLDER"))
	}
	if len(found) == 0 {
		found = append(found, okay("%s is yours, and others cannot change it", l.Root))
	}
	return found, nil
}

func checkMode(path string, forbidden, needed fs.FileMode, level Level, why string) (Finding, bool) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() != (needed == 0o700) {
		return Finding{}, false // what is missing, or of another kind, is told of elsewhere
	}
	mode := info.Mode().Perm()
	right := mode&^forbidden | needed
	if right == mode {
		return Finding{}, false
	}
	if mode&needed != needed {
		level, why = Error, "you cannot use it yourself"
	}
	return finding(level, "the permissions of %s are %04o", []any{path, mode}).because(why).
		mend("chmod %04o %s", right, path).
		by(func(context.Context) (string, error) {
			return fmt.Sprintf("changed the permissions of %s from %04o to %04o", path, mode, right), os.Chmod(path, right)
		}), true
}

// owners finds what another user has made, such as root with sudo.
func (m *Machine) owners() []Finding {
	var others []string
	var owner int
	err := filepath.WalkDir(m.Layout.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if uid, known := ownerOf(info); known && m.UserID >= 0 && uid != m.UserID {
			others, owner = append(others, path), uid
		}
		return nil
	})
	switch {
	case len(others) > 0:
		belong := "belongs"
		if len(others) > 1 {
			belong = "belong"
		}
		return []Finding{fault("%s in %s %s to the user %d, not to you (%d): %s", count(len(others), "file"), m.Layout.Root, belong, owner, m.UserID, few(others)).
			because("the runtime cannot write them; \"sudo dapr\" leaves such files").
			mend("sudo chown -R %d %s", m.UserID, m.Layout.Root)}
	case err != nil && !errors.Is(err, fs.ErrNotExist): // gone meanwhile
		return []Finding{unknown(err)}
	}
	return nil
}

// nearestFolder is the nearest parent of a path that is there.
func nearestFolder(path string) string {
	for {
		parent := filepath.Dir(path)
		if _, err := os.Stat(parent); err == nil || parent == path {
			return parent
		}
		path = parent
	}
}
