package quantity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]int64{"4Mi": 4 << 20, "4Ki": 4096, "1000": 1000, "1k": 1000, "1.5Mi": 3 << 19, "1G": 1e9, "-1": -1, "0": 0} {
		got, err := Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "4MB", "Mi", "x", "NaN", "1e300"} {
		_, err := Parse(in)
		require.Error(t, err, in)
	}
}
