//go:build linux

// Package e2e tells user stories: each script in testdata runs the real
// programs in an empty home, and most end by showing that nothing is left.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder of the programs under test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	// The stories wait more than they work, so more of them run at once than the
	// machine has processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		fmt.Println("the user stories are not short")
		return 0
	}
	var err error
	if bin, err = os.MkdirTemp("", "dapr-e2e"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	// Without cgo, whatever the tests run with: as the programs are shipped.
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./cmd/dapr", "./cmd/daprd", "./test/e2e/testapp")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build the programs: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               emptyHome,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up":          up,
			"signal":      signal,
			"exits":       exits,
			"nothingleft": nothingLeft,
			"freeport":    freePort,
			"terminal":    openTerminal,
			"screen":      screen,
			"type":        typeText,
			"hangup":      hangUp,
			"eventually":  eventually,
		},
	})
}

func emptyHome(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Values[homeKey{}] = home
	env.Values[terminalKey{}] = make(map[string]*terminal)
	// Whatever a failed script leaves must not outlive it.
	env.Defer(func() {
		for _, pid := range processesOf(home) {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	})
	return os.Mkdir(home, 0o755)
}
