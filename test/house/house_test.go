// Package house holds the rules of docs/architecture.md that no linter can see:
// which package may import which, what a program must never link, and what
// every file owes its reader. A failure says why the rule is there.
package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's folder as seen from this test.
const root = "../.."

// goPackage is what `go list -json` says about a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// modulePath is read once from go.mod, so that a fork's tests hold too.
var modulePath = sync.OnceValue(func() string {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		panic(err)
	}
	first, _, _ := bytes.Cut(mod, []byte("\n"))
	return strings.TrimSpace(strings.TrimPrefix(string(first), "module "))
})

var modulePackages = sync.OnceValues(func() ([]goPackage, error) {
	out, err := goList("-e", "-json=ImportPath,Dir,Name,Imports,TestImports,XTestImports", "./...")
	if err != nil {
		return nil, err
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// packages lists the module's packages.
func packages(t *testing.T) []goPackage {
	t.Helper()
	all, err := modulePackages()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func goList(args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, errors.New("go list " + strings.Join(args, " ") + ": " + string(exit.Stderr))
	}
	return out, err
}

// sources calls visit with every Go file of the module, of every platform.
func sources(t *testing.T, visit func(path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	walk(t, func(path string) {
		if filepath.Ext(path) != ".go" {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(root, path), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		visit(path, fset, file)
	})
}

// walk calls visit with the slash-separated path of every file that belongs to
// the module: not what git ignores, and not the nested modules.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	skipped := []string{".git", ".cache", "bin", "dist", "node_modules", "testdata"}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			rel, err := filepath.Rel(root, path)
			visit(filepath.ToSlash(rel))
			return err
		case slices.Contains(skipped, d.Name()):
			return fs.SkipDir
		case path != root && exists(filepath.Join(path, "go.mod")):
			return fs.SkipDir
		}
		return nil
	})
	require.NoError(t, err)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
