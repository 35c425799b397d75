package standalone

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/hyperdapr/dapr/embed"
	"github.com/hyperdapr/dapr/embed/embedtest"
	"github.com/hyperdapr/dapr/pkg/instances"
)

func testSource(t *testing.T, version string) Source {
	t.Helper()
	return Source{
		Payload: embedtest.Payload(t, version, map[string]string{daprd: "daprd " + version, controlPlane: "controlplane " + version}),
		Beside:  t.TempDir(),
		Version: version,
	}
}

func newLayout(t *testing.T) Layout {
	t.Helper()
	return Layout{Root: filepath.Join(t.TempDir(), FolderName)}
}

// tree lists what lies below a folder, with the content of files.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			files[rel+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		files[rel] = string(data)
		return err
	})
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return files
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
}

func TestInitFillsAnEmptyHome(t *testing.T) {
	l := newLayout(t)
	require.False(t, Initialised(l))
	report, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
	require.NoError(t, err)

	require.Equal(t, Installed, report.Outcome)
	require.Equal(t, "1.0.0", report.Version)
	require.ElementsMatch(t, []string{l.Daprd(), l.ControlPlane(), l.Config(), filepath.Join(l.Components(), "statestore.yaml")}, report.Created)
	require.True(t, Initialised(l))

	files := tree(t, l.Root)
	require.Equal(t, "daprd 1.0.0", files["bin/"+executableName(daprd)])
	require.Contains(t, files["config.yaml"], "name: daprConfig")
	require.Contains(t, files["components/statestore.yaml"], "statestore.db")
	require.Contains(t, files, "data/")
	require.NotContains(t, files, "init.lock")
	info, err := os.Stat(l.Daprd())
	require.NoError(t, err)
	if runtime.GOOS != "windows" { // there the name says it
		require.NotZero(t, info.Mode()&0o100, "not executable")
	}
}

func TestTheStoresFileIsFoundWhateverTheHomeIsCalled(t *testing.T) {
	l := Layout{Root: filepath.Join(t.TempDir(), "a b%20#c", FolderName)}
	require.NoError(t, os.MkdirAll(l.Data(), 0o755))
	db, err := sql.Open("sqlite", fileURI(l.StateDB()))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (x)")
	require.NoError(t, err)
	require.FileExists(t, l.StateDB())
}

func TestSlimInitHasNoComponents(t *testing.T) {
	l := newLayout(t)
	_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{Slim: true})
	require.NoError(t, err)
	files := tree(t, l.Root)
	require.Contains(t, files, "components/")
	require.NotContains(t, files, "components/statestore.yaml")
}

func TestSecondInit(t *testing.T) {
	tests := map[string]struct {
		version  string
		between  func(t *testing.T, l Layout)
		outcome  Outcome
		created  []string
		replaced int
	}{
		"of the same version is a no-op": {version: "1.0.0", outcome: Unchanged},
		"of a newer version upgrades":    {version: "1.1.0", outcome: Upgraded, replaced: 2},
		"of an older version downgrades": {version: "0.9.0", outcome: Downgraded, replaced: 2},
		"brings back what was removed": {
			version: "1.0.0",
			between: func(t *testing.T, l Layout) {
				t.Helper()
				require.NoError(t, os.Remove(l.Config()))
				require.NoError(t, os.Remove(l.Daprd()))
			},
			outcome: Repaired,
			created: []string{"bin/" + executableName(daprd), "config.yaml"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
			require.NoError(t, err)
			write(t, filepath.Join(l.Components(), "statestore.yaml"), "mine")
			write(t, l.StateDB(), "state")
			if tt.between != nil {
				tt.between(t, l)
			}

			report, err := Init(t.Context(), l, testSource(t, tt.version), InitOptions{})
			require.NoError(t, err)
			require.Equal(t, tt.outcome, report.Outcome)
			require.Equal(t, "1.0.0", report.Previous)
			require.Equal(t, tt.version, report.Version)
			require.Len(t, report.Replaced, tt.replaced)
			var created []string
			for _, c := range report.Created {
				created = append(created, l.relative(c))
			}
			require.Equal(t, tt.created, created)

			files := tree(t, l.Root)
			require.Equal(t, "mine", files["components/statestore.yaml"])
			require.Equal(t, "state", files["data/statestore.db"])
			require.Equal(t, "daprd "+tt.version, files["bin/"+executableName(daprd)])
			require.Len(t, files, 3+2+2+1+1, "something is left over: %v", files)
		})
	}
}

func TestAFailedInitLeavesThingsAsTheyWere(t *testing.T) {
	damaged := func(t *testing.T) Source {
		t.Helper()
		s := testSource(t, "2.0.0")
		good := embedtest.Payload(t, "2.0.0", map[string]string{controlPlane: "something else"})
		s.Payload.(fstest.MapFS)[embed.PackedFile(controlPlane)] = good[embed.PackedFile(controlPlane)]
		return s
	}
	folderInTheWay := func(t *testing.T, l Layout) {
		t.Helper()
		require.NoError(t, os.RemoveAll(l.Inventory()))
		require.NoError(t, os.MkdirAll(filepath.Join(l.Inventory(), "x"), 0o755))
	}
	tests := map[string]struct {
		before func(t *testing.T, l Layout)
		source func(t *testing.T) Source
		err    string
	}{
		"damaged payload, empty home": {
			source: damaged,
			err:    "unpack controlplane: it has 14 bytes",
		},
		"damaged payload, older runtime": {
			before: func(t *testing.T, l Layout) {
				t.Helper()
				_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
				require.NoError(t, err)
				require.NoError(t, os.Remove(l.Config()))
			},
			source: damaged,
			err:    "this copy of dapr is damaged",
		},
		"a file where a folder must be": {
			before: func(t *testing.T, l Layout) {
				t.Helper()
				write(t, l.Data(), "not a folder")
			},
			source: func(t *testing.T) Source { t.Helper(); return testSource(t, "1.0.0") },
			err:    "is a file, but must be a folder",
		},
		"last step fails": {
			before: folderInTheWay,
			source: func(t *testing.T) Source { t.Helper(); return testSource(t, "1.0.0") },
			err:    "inventory",
		},
		"no program anywhere": {
			source: func(t *testing.T) Source {
				t.Helper()
				return Source{Payload: fstest.MapFS{}, Beside: t.TempDir(), Version: "edge"}
			},
			err: `run "make build"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			if tt.before != nil {
				tt.before(t, l)
			}
			existed, want := exists(l.Root), tree(t, l.Root)
			_, err := Init(t.Context(), l, tt.source(t), InitOptions{})
			require.ErrorContains(t, err, tt.err)
			require.Equal(t, want, tree(t, l.Root))
			require.Equal(t, existed, exists(l.Root))
		})
	}
}

// The steps that exchange files are undone too, which the failures above come
// too early for.
func TestRollbackBringsThePreviousProgramsBack(t *testing.T) {
	l := newLayout(t)
	_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
	require.NoError(t, err)
	require.NoError(t, os.Remove(l.Config()))
	want := tree(t, l.Root)

	in := installer{layout: l, source: testSource(t, "2.0.0")}
	in.inventory, err = readInventory(l)
	require.NoError(t, err)
	require.ErrorContains(t, in.install(t.Context(), []string{"config.yaml", "no-such-template.yaml"}), "no-such-template.yaml")
	require.NotEqual(t, want, tree(t, l.Root))
	require.NoError(t, in.rollback())
	require.Equal(t, want, tree(t, l.Root))
}

func TestInitEndsWithItsContext(t *testing.T) {
	l := newLayout(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Init(ctx, l, testSource(t, "1.0.0"), InitOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, exists(l.Root))
}

func TestManyInitsAtOnce(t *testing.T) {
	l := newLayout(t)
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		outcomes = map[Outcome]int{}
	)
	s := testSource(t, "1.0.0")
	for range 10 {
		group.Go(func() {
			report, err := Init(t.Context(), l, s, InitOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[report.Outcome]++
		})
	}
	group.Wait()
	require.Equal(t, map[Outcome]int{Installed: 1, Unchanged: 9}, outcomes)
}

func TestWithoutPayloadTheProgramsBesideTheCLIAreTaken(t *testing.T) {
	l := newLayout(t)
	s := Source{Payload: fstest.MapFS{}, Beside: t.TempDir(), Version: "edge"}
	beside := filepath.Join(s.Beside, executableName(daprd))
	write(t, beside, "daprd edge")

	found, err := FindDaprd(t.Context(), l, s)
	require.NoError(t, err)
	require.Equal(t, beside, found)

	_, err = Init(t.Context(), l, s, InitOptions{})
	require.NoError(t, err)
	require.Equal(t, "daprd edge", tree(t, l.Root)["bin/"+executableName(daprd)])

	write(t, beside, "daprd edge, built again")
	report, err := Init(t.Context(), l, s, InitOptions{})
	require.NoError(t, err)
	require.Equal(t, Replaced, report.Outcome)

	// The CLI is copied elsewhere: what Init put there is of its version.
	s.Beside = t.TempDir()
	found, err = FindDaprd(t.Context(), l, s)
	require.NoError(t, err)
	require.Equal(t, l.Daprd(), found)

	s.Version = "other"
	_, err = FindDaprd(t.Context(), l, s)
	require.ErrorContains(t, err, "no daprd of version other")
	require.ErrorContains(t, err, `run "make build"`)
}

func TestFindDaprdFollowsTheCLIsVersionAndNothingElse(t *testing.T) {
	l := newLayout(t)
	_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(l.Components(), "statestore.yaml"))) // the user's decision

	found, err := FindDaprd(t.Context(), l, testSource(t, "1.1.0"))
	require.NoError(t, err)
	files := tree(t, l.Root)
	require.Equal(t, l.Daprd(), found)
	require.Equal(t, "daprd 1.1.0", files["bin/"+executableName(daprd)])
	require.NotContains(t, files, "components/statestore.yaml")
}

func TestRemoval(t *testing.T) {
	tests := map[string]struct {
		between func(t *testing.T, l Layout)
		all     bool
		left    []string // nil when the runtime folder goes
	}{
		"takes all that Init made": {},
		"keeps the state": {
			between: func(t *testing.T, l Layout) { t.Helper(); write(t, l.StateDB(), "state") },
			left:    []string{"data/", "data/statestore.db"},
		},
		"keeps what was changed and what is foreign": {
			between: func(t *testing.T, l Layout) {
				t.Helper()
				write(t, l.Config(), "mine")
				write(t, filepath.Join(l.Components(), "pubsub.yaml"), "mine too")
				write(t, filepath.Join(l.Instances(), "stale.json"), "{}")
			},
			left: []string{"components/", "components/pubsub.yaml", "config.yaml"},
		},
		"with all, takes state, logs and what was changed": {
			between: func(t *testing.T, l Layout) {
				t.Helper()
				write(t, l.StateDB(), "state")
				write(t, filepath.Join(l.Logs(), "app", "x.log"), "log")
				write(t, l.Config(), "mine")
			},
			all: true,
		},
		"with all, takes the defaults whoever made them": {
			between: func(t *testing.T, l Layout) {
				t.Helper()
				write(t, l.Config(), "mine")
				plan, err := PlanRemoval(l, false)
				require.NoError(t, err)
				require.NoError(t, plan.Do())
				require.FileExists(t, l.Config())
			},
			all: true,
		},
		"with all, keeps what is foreign": {
			between: func(t *testing.T, l Layout) {
				t.Helper()
				write(t, l.CLIConfig(), "run: {}")
				write(t, l.StateDB(), "state")
			},
			all:  true,
			left: []string{"cli.yaml"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			_, err := Init(t.Context(), l, testSource(t, "1.0.0"), InitOptions{})
			require.NoError(t, err)
			if tt.between != nil {
				tt.between(t, l)
			}
			before := tree(t, l.Root)
			plan, err := PlanRemoval(l, tt.all)
			require.NoError(t, err)
			require.Equal(t, before, tree(t, l.Root), "planning changed something")

			require.NoError(t, plan.Do())
			var left []string
			for path := range tree(t, l.Root) {
				left = append(left, path)
			}
			require.ElementsMatch(t, tt.left, left)
			require.Equal(t, tt.left != nil, exists(l.Root))
			require.Equal(t, tt.left != nil, len(plan.Keep) > 0)
		})
	}
}

func TestRemovalNamesTheRunningApps(t *testing.T) {
	l := newLayout(t)
	for pid, app := range []string{"b", "a", "a"} {
		r, err := instances.Register(l.Instances(), instances.Instance{AppID: app, PID: pid + 1})
		require.NoError(t, err)
		defer r.Close()
	}
	plan, err := PlanRemoval(l, false)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, plan.Running)
}

func TestAnInventoryThatReachesOutIsRefused(t *testing.T) {
	l := newLayout(t)
	write(t, l.Inventory(), `{"version":"1","entries":[{"path":"../../etc/passwd"}]}`)
	_, err := PlanRemoval(l, true)
	require.ErrorContains(t, err, "lies outside the runtime folder")
}
