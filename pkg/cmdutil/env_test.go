package cmdutil

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamesOfVariablesIgnoreCaseOnWindows(t *testing.T) {
	env := Env{"=C:=C:\\", "Path=p", "EMPTY="}
	for _, tt := range []struct {
		goos, name, want string
		ok               bool
	}{
		{"windows", "PATH", "p", true},
		{"linux", "PATH", "", false},
		{"linux", "Path", "p", true},
		{"windows", "empty", "", true},
		{"windows", "PATHEXT", "", false},
	} {
		got, ok := env.lookup(tt.goos, tt.name)
		require.Equal(t, tt.ok, ok, tt)
		require.Equal(t, tt.want, got, tt)
	}
}
