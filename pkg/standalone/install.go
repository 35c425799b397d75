package standalone

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/pkg/atomicfile"
	"github.com/hyperdapr/dapr/pkg/filelock"
)

const (
	configFile     = "config.yaml"
	statestoreFile = "components/statestore.yaml"
)

// defaults are the files of embed.Selfhosted, named as in the inventory.
var defaults = []string{configFile, statestoreFile}

// Outcome is what Init found to do.
type Outcome string

// The outcomes.
const (
	Installed  Outcome = "installed"  // there was no runtime
	Upgraded   Outcome = "upgraded"   // an older one was replaced
	Downgraded Outcome = "downgraded" // a newer one was replaced
	Replaced   Outcome = "replaced"   // another build of the same version was
	Repaired   Outcome = "repaired"   // something of it was missing
	Unchanged  Outcome = "unchanged"
)

// InitReport is what Init did.
type InitReport struct {
	Outcome Outcome
	// Version is the runtime's now, Previous the one before, "" when there was
	// none.
	Version, Previous string
	// Created and Replaced are absolute paths of files, and so is Kept: what
	// Init would have created, but found.
	Created, Replaced, Kept []string
}

// InitOptions are the wishes of Init.
type InitOptions struct {
	// Slim leaves out the default components.
	Slim bool
}

// Init fills the runtime folder: the programs, the default resources, the
// folders they need. A file that exists is left as it is, except the programs,
// which follow the CLI's version. When a step fails, those before it are
// undone, and the runtime is as it was.
func Init(ctx context.Context, l Layout, s Source, opts InitOptions) (*InitReport, error) {
	templates := defaults
	if opts.Slim {
		templates = []string{configFile}
	}
	return install(ctx, l, s, templates, trusting)
}

// trust says whether what the inventory tells of an installed program is
// believed, or the program is read.
type trust bool

const (
	trusting trust = true
	thorough trust = false
)

func installLock(l Layout) string { return filepath.Join(l.Root, "init.lock") }

// install brings the programs up to date and renders the templates whose files
// are missing.
func install(ctx context.Context, l Layout, s Source, templates []string, t trust) (_ *InitReport, err error) {
	existed := exists(l.Root)
	// Ten "dapr run" in an empty home all come here at once.
	release, err := filelock.Acquire(installLock(l))
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, release())
		if err != nil && !existed {
			_ = os.Remove(l.Root) // only when it is empty, as it was not there before
		}
	}()

	in := installer{layout: l, source: s, trust: t}
	if in.inventory, err = readInventory(l); err != nil {
		return nil, err
	}
	in.report.Previous = in.inventory.Version
	defer func() {
		if err != nil {
			err = errors.Join(err, in.rollback())
		}
	}()
	if err := in.install(ctx, templates); err != nil {
		return nil, err
	}
	in.cleanUp()
	return &in.report, nil
}

// installer is one run of install.
type installer struct {
	layout    Layout
	source    Source
	trust     trust
	inventory inventory
	report    InitReport
	// undo takes back what was done, last step first.
	undo []func() error
}

func (in *installer) install(ctx context.Context, templates []string) error {
	l := in.layout
	for _, folder := range []struct {
		path string
		perm fs.FileMode
	}{{l.Root, 0o755}, {l.Bin(), 0o755}, {l.Components(), 0o755}, {l.Data(), 0o700}} {
		if err := in.makeFolder(folder.path, folder.perm); err != nil {
			return err
		}
	}
	manifest, err := in.source.programs(l)
	if err != nil {
		return err
	}
	if err := in.installPrograms(ctx, manifest); err != nil {
		return err
	}
	for _, name := range templates {
		if err := in.render(name); err != nil {
			return err
		}
	}
	in.report.Version = manifest.Version
	in.report.Outcome = in.outcome()
	if in.report.Outcome == Unchanged {
		return nil
	}
	in.inventory.Version = manifest.Version
	return in.inventory.write(l)
}

func (in *installer) outcome() Outcome {
	r := in.report
	switch {
	case r.Previous == "":
		return Installed
	case r.Previous != r.Version && semver.Compare("v"+r.Previous, "v"+r.Version) > 0:
		return Downgraded
	case r.Previous != r.Version:
		return Upgraded
	case len(r.Replaced) > 0:
		return Replaced
	case len(r.Created) > 0:
		return Repaired
	default:
		return Unchanged
	}
}

func (in *installer) makeFolder(folder string, perm fs.FileMode) error {
	rel := in.layout.relative(folder)
	err := os.Mkdir(folder, perm)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(folder)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is a file, but must be a folder: move it away", folder)
		}
		// The runtime folder is made by the lock in it, before this.
		if rel == "." {
			in.inventory.set(item{Path: rel, Folder: true})
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	in.undo = append(in.undo, func() error { return os.Remove(folder) })
	in.inventory.set(item{Path: rel, Folder: true})
	return nil
}

// installPrograms unpacks beside the old programs first, since that is what
// takes long and fails, and then exchanges them.
func (in *installer) installPrograms(ctx context.Context, m *embed.Manifest) error {
	l := in.layout
	hasDaprd := slices.ContainsFunc(m.Programs, func(p embed.Program) bool { return p.Name == daprd })
	if !hasDaprd && (in.inventory.Version != m.Version || !isFile(l.Daprd())) {
		return in.source.missing(l)
	}
	var wanted []embed.Program
	for _, p := range m.Programs {
		if !isInstalled(l, in.inventory, p) || in.trust == thorough && !isWhole(l, p) {
			wanted = append(wanted, p)
		}
	}
	unpacked := make([]string, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range wanted {
		group.Go(func() (err error) {
			unpacked[i], err = in.unpack(ctx, p)
			return err
		})
	}
	err := group.Wait()
	in.undo = append(in.undo, func() error { return removeAll(unpacked) })
	if err != nil {
		return err
	}
	for i, p := range wanted {
		if err := in.exchange(unpacked[i], l.program(p.Name)); err != nil {
			return err
		}
		in.inventory.set(item{Path: l.relative(l.program(p.Name)), Size: p.Size, SHA256: p.SHA256})
	}
	return nil
}

// unpack writes a program to a file beside its place and checks it. The file's
// name is returned with an error too, as soon as there is one.
func (in *installer) unpack(ctx context.Context, p embed.Program) (name string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("unpack %s: %w", p.Name, err)
		}
	}()
	r, err := in.source.Open(p.Name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := os.CreateTemp(in.layout.Bin(), "."+p.Name+newMark+"*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, h), &contextReader{ctx, r})
	if err != nil {
		return f.Name(), err
	}
	if err := check(p, size, hex.EncodeToString(h.Sum(nil))); err != nil {
		return f.Name(), err
	}
	if err := f.Chmod(0o755); err != nil {
		return f.Name(), err
	}
	return f.Name(), f.Sync()
}

// check compares what was unpacked with what the manifest says.
func check(p embed.Program, size int64, sum string) error {
	if size != p.Size || sum != p.SHA256 {
		return fmt.Errorf("it has %d bytes with sha256 %s, but must have %d with %s: this copy of dapr is damaged, install it again", size, sum, p.Size, p.SHA256)
	}
	return nil
}

// exchange puts a file in its place. The old one is put aside and not removed:
// it comes back when a later step fails, and Windows removes no running program.
func (in *installer) exchange(from, to string) error {
	if !exists(to) {
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("install %s: %w", to, err)
		}
		in.undo = append(in.undo, func() error { return os.Remove(to) })
		in.report.Created = append(in.report.Created, to)
		return nil
	}
	aside := asideName(to)
	if err := os.Rename(to, aside); err != nil {
		return fmt.Errorf("put aside %s: %w", to, err)
	}
	in.undo = append(in.undo, func() error { return os.Rename(aside, to) })
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("install %s: %w", to, err)
	}
	in.report.Replaced = append(in.report.Replaced, to)
	return nil
}

const (
	newMark   = ".new"
	asideMark = ".old"
)

// asideName is a name nobody has: one put aside earlier may still run.
func asideName(program string) string {
	for n := 0; ; n++ {
		name := filepath.Join(filepath.Dir(program), fmt.Sprintf(".%s%s%d", filepath.Base(program), asideMark, n))
		if !exists(name) {
			return name
		}
	}
}

// render writes one of the files of embed.Selfhosted unless it exists.
func (in *installer) render(name string) error {
	file := in.layout.absolute(name)
	if exists(file) {
		in.report.Kept = append(in.report.Kept, file)
		return nil
	}
	t, err := template.New(path.Base(name)).Option("missingkey=error").ParseFS(embed.Selfhosted(), name)
	if err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]string{"StateDB": fileURI(in.layout.StateDB())}); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	if err := atomicfile.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	in.undo = append(in.undo, func() error { return os.Remove(file) })
	sum := sha256.Sum256(b.Bytes())
	in.inventory.set(item{Path: name, Size: int64(b.Len()), SHA256: hex.EncodeToString(sum[:])})
	in.report.Created = append(in.report.Created, file)
	return nil
}

func (in *installer) rollback() error {
	var errs []error
	for _, step := range slices.Backward(in.undo) {
		errs = append(errs, step())
	}
	return errors.Join(errs...)
}

// cleanUp removes the programs that were put aside, and what a killed run left
// half unpacked. A program that still runs on Windows stays until the next time.
func (in *installer) cleanUp() {
	files, err := os.ReadDir(in.layout.Bin())
	if err != nil {
		return // the files do no harm
	}
	for _, f := range files {
		if isTemporary(f.Name()) {
			_ = os.Remove(filepath.Join(in.layout.Bin(), f.Name()))
		}
	}
}

// isTemporary tells the names of exchange and unpack from others.
func isTemporary(name string) bool {
	return strings.HasPrefix(name, ".") && (strings.Contains(name, asideMark) || strings.Contains(name, newMark))
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to know
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func removeAll(files []string) error {
	var errs []error
	for _, f := range files {
		if f == "" {
			continue
		}
		if err := os.Remove(f); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
