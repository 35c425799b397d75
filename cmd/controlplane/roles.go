package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/version"
)

// roles are the services of the protocol's control plane. None is built yet:
// each gets its case in run when its package is.
var roles = []string{"operator", "injector", "sentry", "placement", "scheduler", "local"}

// run answers what the arguments ask for. A program that is called by the name
// of a role is that role; else the first argument names it.
func run(args []string, out io.Writer) error {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	rest := args[1:]
	if !slices.Contains(roles, name) {
		if len(rest) == 0 {
			return fmt.Errorf("no role given: use one of %s", strings.Join(roles, ", "))
		}
		name, rest = rest[0], rest[1:]
	}
	if name == "--version" || slices.Contains(rest, "--version") {
		_, err := fmt.Fprintln(out, version.Version())
		return err
	}
	if slices.Contains(roles, name) {
		return fmt.Errorf("the %s is not built yet: this release runs apps on one machine, which needs no control plane", name)
	}
	if n := nearest.Name(name, roles); n != "" {
		return fmt.Errorf("unknown role %q; did you mean %s?", name, n)
	}
	return fmt.Errorf("unknown role %q: use one of %s", name, strings.Join(roles, ", "))
}
