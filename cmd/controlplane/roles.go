package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/injector"
	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/operator"
	"github.com/hyperdapr/dapr/pkg/placement"
	"github.com/hyperdapr/dapr/pkg/sentry"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/version"
)

// roles are the services of the protocol's control plane. One without a main is
// not built yet.
var roles = []struct {
	name string
	main func(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error
}{
	{"operator", operator.Main},
	{"injector", injector.Main},
	{"sentry", sentry.Main},
	{"placement", placement.Main},
	{"scheduler", nil},
	{"local", nil},
}

// run is the role that the arguments ask for. A program that is called by the
// name of a role is that role; else the first argument names it. What run
// returns is printed already.
func run(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	fail := func(format string, values ...any) error {
		err := service.Usagef(format, values...)
		fmt.Fprintln(stderr, "controlplane:", err)
		return err
	}

	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	rest := args[1:]
	if !slices.Contains(names, name) {
		if len(rest) == 0 {
			return fail("no role given: use one of %s", strings.Join(names, ", "))
		}
		name, rest = rest[0], rest[1:]
	}
	i := slices.Index(names, name)
	switch {
	case name == "--version", i >= 0 && roles[i].main == nil && slices.Contains(rest, "--version"):
		_, err := fmt.Fprintln(stdout, version.Version())
		return err
	case i >= 0 && roles[i].main == nil:
		return fail("the %s is not built yet: this release runs apps on one machine, which needs no control plane", name)
	case i >= 0:
		return roles[i].main(ctx, rest, env, stdout, stderr)
	}
	if n := nearest.Name(name, names); n != "" {
		return fail("unknown role %q; did you mean %s?", name, n)
	}
	return fail("unknown role %q: use one of %s", name, strings.Join(names, ", "))
}
