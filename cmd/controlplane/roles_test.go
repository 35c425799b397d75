package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/service"
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
		{"version of a service", []string{"controlplane", "injector", "--version"}, version.Version() + "\n", ""},
		{"flag of a service", []string{"/x/injector", "--prot=1"}, "", "unknown flag --prot; did you mean --port?"},
		{"role by name", []string{`scheduler.exe`}, "", "the scheduler is not built yet: this release runs apps on one machine, which needs no control plane"},
		{"typo", []string{"controlplane", "placment"}, "", `unknown role "placment"; did you mean placement?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			err := run(t.Context(), c.args, func(string) (string, bool) { return "", false }, &out, &errOut)
			require.Equal(t, c.out, out.String())
			if c.err == "" {
				require.NoError(t, err)
				require.Empty(t, errOut.String())
				return
			}
			require.EqualError(t, err, c.err)
			require.Equal(t, 2, service.ExitCode(err))
			require.Regexp(t, "^[a-z]+: "+regexp.QuoteMeta(c.err)+"\n$", errOut.String())
		})
	}
}
