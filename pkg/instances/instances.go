// Package instances is the registry of sidecars on this machine: a folder with
// one entry a running sidecar. A sidecar writes its own entry and holds a file
// lock on it for as long as it lives, so an entry whose lock is free belongs to
// a process that is gone, however it died, and the next reader removes it. No
// port, no daemon and no network is involved.
package instances

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/home"
)

// Instance is what a sidecar tells about itself.
type Instance struct {
	AppID     string `json:"appId"`
	Namespace string `json:"namespace,omitempty"`
	// PID is the sidecar's process.
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	// Address is "host:port" of the internal gRPC server, for other sidecars on
	// this machine.
	Address     string `json:"address"`
	HTTPPort    int    `json:"httpPort,omitempty"`
	GRPCPort    int    `json:"grpcPort,omitempty"`
	MetricsPort int    `json:"metricsPort,omitempty"`
	// AppPort is 0 when the app takes no calls.
	AppPort int `json:"appPort,omitempty"`
	// SocketDir, when set, holds the API's unix domain sockets in place of ports.
	SocketDir      string `json:"socketDir,omitempty"`
	MetricsEnabled bool   `json:"metricsEnabled,omitempty"`
	// MaxBodySize and ReadBufferSize are in bytes.
	MaxBodySize    int64 `json:"maxBodySize,omitempty"`
	ReadBufferSize int64 `json:"readBufferSize,omitempty"`

	// Extended is the sidecar's extended metadata (cliPID, appPID, appCommand …),
	// kept in step with PUT /v1.0/metadata/{key}.
	Extended map[string]string `json:"extended,omitempty"`
}

// Folder returns the registry's folder below a runtime folder such as ~/.dapr.
func Folder(runtimeDir string) string { return filepath.Join(runtimeDir, "run") }

// RuntimeDir is the folder .dapr in which everything of this machine's runtime
// lives: below $DAPR_RUNTIME_PATH, else below the user's home folder. It is empty
// when neither is known.
func RuntimeDir(lookupEnv func(string) (string, bool)) string {
	return runtimeDir(runtime.GOOS, lookupEnv)
}

func runtimeDir(goos string, lookupEnv func(string) (string, bool)) string {
	for _, name := range []string{"DAPR_RUNTIME_PATH", home.Variable(goos)} {
		if dir, _ := lookupEnv(name); dir != "" {
			return filepath.Join(dir, ".dapr")
		}
	}
	return ""
}

// Registration is the entry of the calling process.
type Registration struct {
	path string
	lock *flock.Flock
	mu   sync.Mutex
	inst Instance
}

const (
	entrySuffix = ".json"
	lockSuffix  = ".lock"
)

// Register makes the entry and holds it until Close or the end of the process.
// The folder is created when it does not exist.
func Register(folder string, inst Instance) (*Registration, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create registry folder: %w", err)
	}
	path := filepath.Join(folder, fileName(inst))
	lock, err := acquire(path + lockSuffix)
	if err != nil {
		return nil, fmt.Errorf("lock registry entry: %w", err)
	}
	r := &Registration{path: path, lock: lock, inst: inst}
	if err := r.write(); err != nil {
		return nil, errors.Join(fmt.Errorf("write registry entry: %w", err), r.Close())
	}
	return r, nil
}

// acquire takes the lock of a file that a sweeper may be removing at the same
// time: after locking, the name must still be that file's.
func acquire(path string) (*flock.Flock, error) {
	for {
		lock := flock.New(path, flock.SetPermissions(0o600))
		if err := lock.Lock(); err != nil {
			return nil, err
		}
		if isNamed(lock, path) {
			return lock, nil
		}
		if err := lock.Unlock(); err != nil {
			return nil, err
		}
	}
}

// SetExtended sets one key of the extended metadata in the entry.
func (r *Registration) SetExtended(key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inst.Extended = maps.Clone(r.inst.Extended)
	if r.inst.Extended == nil {
		r.inst.Extended = make(map[string]string)
	}
	r.inst.Extended[key] = value
	return r.write()
}

func (r *Registration) write() error {
	data, err := json.Marshal(r.inst)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(r.path+entrySuffix, data, 0o600)
}

// Close removes the entry.
func (r *Registration) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return remove(r.path, r.lock)
}

func remove(path string, lock *flock.Flock) error {
	err := atomicfile.Remove(path + entrySuffix)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	// The lock's file goes while the lock is held, so that nobody can take a
	// lock on a name that is about to vanish (see acquire). Windows does not
	// remove open files: there the order is the other way round, and readers who
	// are finding out whether the lock is free are waited for.
	lerr := os.Remove(path + lockSuffix)
	uerr := lock.Unlock()
	if lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
		lerr = atomicfile.Remove(path + lockSuffix)
	}
	if errors.Is(lerr, fs.ErrNotExist) {
		lerr = nil
	}
	return errors.Join(err, lerr, uerr)
}

// List returns the sidecars that are alive, by app id and then by start, and
// removes the entries of those that are not. A folder that does not exist has
// none.
func List(folder string) ([]Instance, error) {
	return list(folder, func(string) bool { return true })
}

// Find returns the living sidecars of one app in one namespace.
func Find(folder, namespace, appID string) ([]Instance, error) {
	prefix := escape(appID) + "@" + escape(namespace) + "@"
	return list(folder, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// Entry is what the registry holds of one sidecar, alive or not.
type Entry struct {
	// Path is that of the entry's files, without their endings.
	Path string
	// Alive tells whether the sidecar's process is.
	Alive bool
	// Instance is the zero one when Err tells why it cannot be read.
	Instance Instance
	Err      error
}

// Inspect returns the entries of all sidecars, by name, and unlike List leaves
// those in place whose process is gone: what they say may still be wanted.
func Inspect(folder string) ([]Entry, error) {
	names, err := entries(folder)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, name := range names {
		e := Entry{Path: filepath.Join(folder, name)}
		held, gone := isHeld(e.Path)
		if gone {
			continue // ended, and swept by somebody else
		}
		e.Alive = held
		e.Instance, e.Err = read(e.Path)
		all = append(all, e)
	}
	return all, nil
}

// entries lists the names of the entries.
func entries(folder string) ([]string, error) {
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read registry folder: %w", err)
	}
	var names []string
	for _, f := range files {
		if name, isEntry := strings.CutSuffix(f.Name(), lockSuffix); isEntry {
			names = append(names, name)
		}
	}
	return names, nil
}

// read wraps fs.ErrNotExist when the entry is locked, but not written yet, or
// has just ended.
func read(path string) (Instance, error) {
	var inst Instance
	data, err := atomicfile.ReadFile(path + entrySuffix)
	if err != nil {
		return inst, fmt.Errorf("read registry entry: %w", err)
	}
	if err := json.Unmarshal(data, &inst); err != nil {
		return Instance{}, fmt.Errorf("registry entry %s: %w", path+entrySuffix, err)
	}
	return inst, nil
}

func list(folder string, want func(name string) bool) ([]Instance, error) {
	names, err := entries(folder)
	if err != nil {
		return nil, err
	}
	var found []Instance
	for _, name := range names {
		path := filepath.Join(folder, name)
		if !want(name) || !alive(path) {
			continue
		}
		inst, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, inst)
	}
	slices.SortFunc(found, func(a, b Instance) int {
		if c := strings.Compare(a.AppID, b.AppID); c != 0 {
			return c
		}
		return a.Started.Compare(b.Started)
	})
	return found, nil
}

// alive tells whether somebody holds the entry's lock, and sweeps the entry when
// nobody does.
func alive(path string) bool {
	held, gone := isHeld(path)
	if !held && !gone {
		sweep(path)
	}
	return held
}

// isHeld tells whether somebody holds the entry's lock, or whether its file is
// gone. Readers share theirs, so that two of them do not take each other for the
// owner.
func isHeld(path string) (held, gone bool) {
	lock := flock.New(path+lockSuffix, flock.SetFlag(os.O_RDWR), flock.SetPermissions(0o600))
	free, err := lock.TryRLock()
	if err != nil {
		return false, true
	}
	if free {
		_ = lock.Unlock()
	}
	return !free, false
}

// sweep removes the entry of a process that is gone. It gives way to other
// readers who find out the same at this moment: the last of them removes it.
func sweep(path string) {
	lock := flock.New(path+lockSuffix, flock.SetFlag(os.O_RDWR), flock.SetPermissions(0o600))
	if free, err := lock.TryLock(); err != nil || !free {
		return
	}
	if isNamed(lock, path+lockSuffix) {
		_ = atomicfile.RemoveUnfinished(path + entrySuffix)
		_ = remove(path, lock)
		return
	}
	_ = lock.Unlock()
}

// isNamed tells whether path is still the file that is locked.
func isNamed(lock *flock.Flock, path string) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}

func fileName(i Instance) string {
	return escape(i.AppID) + "@" + escape(i.Namespace) + "@" + strconv.Itoa(i.PID)
}

// escape makes an app id a file name that holds no "@" and no separator.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
