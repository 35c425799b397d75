package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/version"
)

func TestOnePackageComment(t *testing.T) {
	type docs struct{ code, tests, files []string }
	folders := make(map[string]*docs)
	sources(t, func(file string, _ *token.FileSet, f *ast.File) {
		d := folders[path.Dir(file)]
		if d == nil {
			d = &docs{}
			folders[path.Dir(file)] = d
		}
		test := strings.HasSuffix(file, "_test.go")
		if !test {
			d.files = append(d.files, file)
		}
		switch {
		case f.Doc == nil:
		case test:
			d.tests = append(d.tests, file)
		default:
			d.code = append(d.code, file)
		}
		if f.Doc != nil {
			want := "Package " + f.Name.Name + " "
			if f.Name.Name == "main" {
				want = "Command "
			}
			assert.True(t, strings.HasPrefix(f.Doc.Text(), want), "%s: the package comment starts with %q", file, want)
		}
	})
	for dir, d := range folders {
		if len(d.files) == 0 { // a folder of tests only says so in one of them
			assert.Len(t, d.tests, 1, "%s: exactly one test file has the package comment", dir)
			continue
		}
		assert.Len(t, d.code, 1, "%s: exactly one file has the package comment, so that there is one place to read first", dir)
		assert.Empty(t, d.tests, "%s: the package comment stands in the code, not in a test", dir)
	}
}

func TestMainIsShort(t *testing.T) {
	for _, program := range []string{"dapr", "daprd", "controlplane"} {
		file := filepath.Join(root, "cmd", program, "main.go")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Less(t, strings.Count(string(text), "\n"), 20,
			"cmd/%s/main.go: main calls Main and maps its error to an exit code; everything else is testable elsewhere", program)
	}
}

// processEnders end the process under the feet of every defer.
var processEnders = map[string]bool{"os.Exit": true, "log.Fatal": true, "log.Fatalf": true, "log.Fatalln": true, "syscall.Exit": true}

func TestOnlyMainExits(t *testing.T) {
	sources(t, func(file string, fset *token.FileSet, f *ast.File) {
		if f.Name.Name == "main" || strings.HasSuffix(file, "_test.go") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && processEnders[selector(call.Fun)] {
				t.Errorf("%s:%d: %s: return an error; only main ends the process", file, fset.Position(call.Pos()).Line, selector(call.Fun))
			}
			return true
		})
	})
}

// sharedState are the types that two sidecars in one process would share if a
// package variable held one.
var sharedState = regexp.MustCompile(`^(sync\.(Mutex|RWMutex|Map|Once|WaitGroup)|atomic\.\w+|slog\.(New|With|Default)|telemetry\.New\w+|prometheus\.New\w+|promauto\.\w+|http\.Client|rand\.New)$`)

func TestNoSharedState(t *testing.T) {
	sources(t, func(file string, fset *token.FileSet, f *ast.File) {
		if f.Name.Name == "main" || strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for _, e := range append([]ast.Expr{v.Type}, v.Values...) {
					if name := typeOrCall(e); sharedState.MatchString(name) {
						t.Errorf("%s:%d: package variable of %s: two sidecars in one process would share it; make it a field",
							file, fset.Position(v.Pos()).Line, name)
					}
				}
			}
		}
	})
}

// typeOrCall names the type or the called function of a variable's declaration.
func typeOrCall(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeOrCall(e.X)
	case *ast.UnaryExpr:
		return typeOrCall(e.X)
	case *ast.CompositeLit:
		return typeOrCall(e.Type)
	case *ast.CallExpr:
		return typeOrCall(e.Fun)
	case *ast.IndexExpr:
		return typeOrCall(e.X)
	case *ast.SelectorExpr:
		return selector(e)
	}
	return ""
}

// selector renders "pkg.Name", or nothing for anything else.
func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}

var (
	todo     = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	reasoned = regexp.MustCompile(`\bTODO: \S+( \S+){3,}`)
)

func TestTodosHaveReasons(t *testing.T) {
	sources(t, func(file string, fset *token.FileSet, f *ast.File) {
		for _, group := range f.Comments {
			for _, c := range group.List {
				if todo.MatchString(c.Text) && !reasoned.MatchString(c.Text) {
					t.Errorf("%s:%d: write \"TODO: what is missing, and why it can wait\"", file, fset.Position(c.Pos()).Line)
				}
			}
		}
	})
}

// vagueNames say nothing about what a package gives.
var vagueNames = map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true, "types": true, "misc": true, "base": true, "shared": true, "internal": true}

func TestPackagesAreNamedForWhatTheyGive(t *testing.T) {
	for _, p := range packages(t) {
		assert.False(t, vagueNames[p.Name], "%s: a package is named for the one thing it gives", p.ImportPath)
	}
}

// roomNames finds the packages in a row's first cell; those in italics are to come.
var roomNames = regexp.MustCompile("`([a-z0-9/]+)`|\\*([a-z0-9/]+)\\*")

// TestArchitectureHasARowForEveryPackage reads the tables of the floors, both
// ways: a package without a row is one that nobody finds, a row without a package
// sends its reader into the void.
func TestArchitectureHasARowForEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	require.NoError(t, err)
	_, floors, found := strings.Cut(string(text), "\n## Packages\n")
	require.True(t, found, "docs/architecture.md has no section Packages")
	floors, _, _ = strings.Cut(floors, "\n## ")

	there, toCome := make(map[string]bool), make(map[string]bool)
	for line := range strings.Lines(floors) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range roomNames.FindAllStringSubmatch(cells[1], -1) {
			name := m[1] + m[2]
			assert.False(t, there[name] || toCome[name], "docs/architecture.md has %s twice", name)
			there[name], toCome[name] = m[1] != "", m[2] != ""
		}
	}
	for _, p := range packages(t) {
		rel, ok := strings.CutPrefix(p.ImportPath, modulePath()+"/pkg/")
		if !ok {
			continue
		}
		assert.True(t, there[rel], "docs/architecture.md has no row that says what pkg/%s is", rel)
		delete(there, rel)
	}
	for name := range there {
		assert.False(t, there[name], "docs/architecture.md has a row for pkg/%s, which is not there", name)
	}
}

// A driver that no page names is one that nobody finds.
func TestComponentsPageNamesEveryDriver(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "components.md"))
	require.NoError(t, err)
	sources, err := filepath.Glob(filepath.Join(root, "pkg", "components", "*.go"))
	require.NoError(t, err)
	found := 0
	for _, file := range sources {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`Register\("([^"]+)"`).FindAllSubmatch(data, -1) {
			found++
			name := strings.TrimPrefix(string(m[1]), "nameresolution.")
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/components.md does not name %s", m[1])
			}
		}
	}
	require.NotZero(t, found, "no driver was found: has the way they are registered changed?")
}

// A fork changes the owner in one place, the module path; the others, which
// cannot read it there, must follow.
func TestOwnerIsThatOfTheModule(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^module github\.com/([^/\s]+)/`).FindSubmatch(module)
	require.NotNil(t, m, "go.mod names no owner")
	require.Equal(t, version.Owner, string(m[1]), "pkg/version.Owner and go.mod")
	values, err := os.ReadFile(filepath.Join(root, "embed", "chart", "values.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(values), "registry: ghcr.io/"+string(m[1])+"\n", "embed/chart/values.yaml")
	for installer, assignment := range map[string]string{"install.sh": "repository=https://%s\n", "install.ps1": "$repository = 'https://%s'\n"} {
		text, err := os.ReadFile(filepath.Join(root, "install", installer))
		require.NoError(t, err)
		require.Contains(t, string(text), fmt.Sprintf(assignment, modulePath()), "install/%s", installer)
		require.Equal(t, 1, bytes.Count(text, m[1]), "install/%s names the owner once", installer)
	}
	for _, file := range []string{"Makefile", ".goreleaser.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		require.NotContains(t, string(text), string(m[1]), "%s derives it from go.mod", file)
	}
}
