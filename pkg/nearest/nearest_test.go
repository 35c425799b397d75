package nearest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestName(t *testing.T) {
	fields := []string{"metadata", "type", "version", "initTimeout"}
	for in, want := range map[string]string{
		"metdata": "metadata", "Metadata": "metadata", "tpye": "type", "versoin": "version", "inittimeout": "initTimeout",
		"zzz": "", "": "",
	} {
		require.Equal(t, want, Name(in, fields), "for %q", in)
	}
}
