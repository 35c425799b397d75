package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/version"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		out  string
		err  string
	}{
		{"no role", []string{"/bin/controlplane"}, "", "no role given: use one of operator, injector, sentry, placement, scheduler, local"},
		{"version", []string{"controlplane", "--version"}, version.Version() + "\n", ""},
		{"version of a role by name", []string{"/x/placement", "--version"}, version.Version() + "\n", ""},
		{"role by argument", []string{"controlplane", "sentry"}, "", "the sentry is not built yet: this release runs apps on one machine, which needs no control plane"},
		{"role by name", []string{`scheduler.exe`}, "", "the scheduler is not built yet: this release runs apps on one machine, which needs no control plane"},
		{"typo", []string{"controlplane", "placment"}, "", `unknown role "placment"; did you mean placement?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(c.args, &out)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.err)
			}
			require.Equal(t, c.out, out.String())
		})
	}
}
