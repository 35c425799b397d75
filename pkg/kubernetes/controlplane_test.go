package kubernetes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSkewWarning(t *testing.T) {
	services := func(versions ...string) []Service {
		var all []Service
		for _, v := range versions {
			all = append(all, Service{Name: "dapr-operator", Version: v})
		}
		return all
	}
	require.Equal(t, []string{"1.2.0", "1.3.0"}, Versions(services("1.3.0", "1.2.0", "1.3.0")))
	for _, tt := range []struct {
		own      string
		services []Service
		want     string
	}{
		{"1.2.3", services("1.2.3"), ""},
		{"1.2.3", services("1.3.0", "1.1.0", ""), ""},
		{"1.2.3", nil, ""},
		{"1.2.3", services("1.4.0"), `has version 1.4.0, this program 1.2.3: they may be one minor version apart. Use the dapr of version 1.4.0`},
		{"1.4.0", services("1.3.0", "1.2.3"), `has version 1.2.3, this program 1.4.0: they may be one minor version apart. Run "dapr upgrade -k"`},
		{"edge", services("1.2.3"), `one of them is no release`},
	} {
		if got := SkewWarning(tt.services, tt.own); tt.want == "" {
			require.Empty(t, got)
		} else {
			require.Contains(t, got, tt.want)
		}
	}
}
