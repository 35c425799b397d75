package version

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompatible(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3", "1.2.3", true},
		{"1.2.3", "1.2.9", true},
		{"1.2.3", "1.3.0", true},
		{"1.9.0", "1.10.4", true},
		{"1.2.3", "1.4.0", false},
		{"1.2.3", "1.12.3", false},
		{"1.2.3", "2.2.3", false},
		{"1.2.0-rc.1", "1.3.0", true},
		{"edge", "edge", true},
		{"edge", "1.2.3", false},
		{"edge", "nightly", false},
		{"", "1.2.3", false},
	} {
		require.Equal(t, tt.want, Compatible(tt.a, tt.b), "%s and %s", tt.a, tt.b)
		require.Equal(t, tt.want, Compatible(tt.b, tt.a), "%s and %s", tt.b, tt.a)
	}
}

func TestNewer(t *testing.T) {
	require.True(t, Newer("1.10.0", "1.9.9"))
	require.True(t, Newer("1.2.0", "1.2.0-rc.1"))
	require.False(t, Newer("1.2.0", "1.2.0"))
	require.False(t, Newer("edge", "1.2.0"))
	require.False(t, Newer("1.2.0", "edge"))
}
