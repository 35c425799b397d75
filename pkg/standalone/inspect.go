package standalone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/filelock"
	"github.com/hyperdapr/dapr/pkg/instances"
)

// Condition is how an installed program compares with the one that was put
// there, and with the one that the CLI has.
type Condition string

// The conditions.
const (
	Current Condition = "current" // byte by byte the CLI's
	Other   Condition = "other"   // whole, but of another build
	Missing Condition = "missing"
	Damaged Condition = "damaged" // not as it was put there
	Foreign Condition = "foreign" // not put there by Init
)

// Program is an installed program, or one that should be.
type Program struct {
	Name, Path string
	Condition  Condition
}

// Inspection is what is installed.
type Inspection struct {
	// Version is that of the programs, "" when there was no Init.
	Version string
	// Carried is that of the programs that the CLI has.
	Carried string
	// Programs are those that should be there.
	Programs []Program
}

// Inspect reads what is installed, every byte of it.
func Inspect(l Layout, s Source) (*Inspection, error) {
	inv, err := readInventory(l)
	if err != nil {
		return nil, err
	}
	carried, err := s.programs(l)
	if err != nil {
		return nil, err
	}
	found := &Inspection{Version: inv.Version, Carried: carried.Version}
	for _, name := range []string{daprd, controlPlane} {
		path := l.program(name)
		made, installed := inv.find(l.relative(path))
		i := slices.IndexFunc(carried.Programs, func(p embed.Program) bool { return p.Name == name })
		if !installed && i < 0 && !exists(path) {
			continue
		}
		p := Program{Name: name, Path: path}
		sum, _, err := hashFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.Condition = Missing
		case err != nil:
			return nil, err
		case i >= 0 && sum == carried.Programs[i].SHA256:
			p.Condition = Current
		case !installed:
			p.Condition = Foreign
		case sum == made.SHA256:
			p.Condition = Other
		default:
			p.Condition = Damaged
		}
		found.Programs = append(found.Programs, p)
	}
	return found, nil
}

// Repair makes the programs those that the CLI has, and reads what is there
// rather than trust what the inventory says about it.
func Repair(ctx context.Context, l Layout, s Source) (*InitReport, error) {
	return install(ctx, l, s, nil, thorough)
}

// VerifyPayload unpacks the programs that the CLI carries, to nowhere, and
// checks what comes out. It returns how many there are: none in a CLI that was
// built without.
func (s Source) VerifyPayload(ctx context.Context) (int, error) {
	m, err := s.manifest()
	if m == nil || err != nil {
		return 0, err
	}
	for _, p := range m.Programs {
		if err := s.verify(ctx, p); err != nil {
			return 0, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return len(m.Programs), nil
}

func (s Source) verify(ctx context.Context, p embed.Program) error {
	r, err := s.Open(p.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	size, err := io.Copy(h, &contextReader{ctx, r})
	if err != nil {
		return err
	}
	return check(p, size, hex.EncodeToString(h.Sum(nil)))
}

// Leftovers lists the files that an installation left which was killed. There
// are none while one is under way.
func Leftovers(l Layout) ([]string, error) {
	lock := installLock(l)
	busy, err := filelock.Held(lock)
	if busy || err != nil {
		return nil, err
	}
	left, err := unfinished(l)
	if err == nil && exists(lock) {
		left = append(left, lock)
	}
	return left, err
}

// RemoveLeftovers removes them, and returns those that it removed.
func RemoveLeftovers(l Layout) (removed []string, err error) {
	release, err := filelock.Acquire(installLock(l))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }() // removes the lock's file, too
	left, err := unfinished(l)
	if err != nil {
		return nil, err
	}
	return left, removeAll(left)
}

func unfinished(l Layout) ([]string, error) {
	var left []string
	for _, file := range []string{l.Inventory(), l.Config(), l.absolute(statestoreFile)} {
		files, err := atomicfile.Unfinished(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		left = append(left, files...)
	}
	files, err := os.ReadDir(l.Bin())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		if isTemporary(f.Name()) {
			left = append(left, filepath.Join(l.Bin(), f.Name()))
		}
	}
	return left, nil
}

// Strangers lists the files in the folder of the programs that Init did not put
// there.
func Strangers(l Layout) ([]string, error) {
	inv, err := readInventory(l)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(l.Bin())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var strangers []string
	for _, f := range files {
		path := filepath.Join(l.Bin(), f.Name())
		if _, ours := inv.find(l.relative(path)); !ours && !isTemporary(f.Name()) {
			strangers = append(strangers, path)
		}
	}
	return strangers, nil
}

// Abandoned tells whether the command line that ran an app is gone while the
// app's sidecar is not.
func Abandoned(i instances.Instance) bool { return describe(i).abandoned() }

// abandoned judges by who started the sidecar, for the number of a CLI that is
// gone may be another process's by now.
func (i Instance) abandoned() bool {
	return i.CLIPID > 0 && alive(i.DaprdPID) && !isChild(i.DaprdPID, i.CLIPID)
}

// Outbound asks a sidecar whether its app can call out through it, and if not,
// why. The error means that the sidecar does not answer.
func Outbound(ctx context.Context, i instances.Instance) (ready bool, reason string, err error) {
	if i.SocketDir != "" {
		return newAPI("unix", httpSocket(i.SocketDir, i.AppID), "").outbound(ctx)
	}
	return newAPI("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(i.HTTPPort)), "").outbound(ctx)
}
