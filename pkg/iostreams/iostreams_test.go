package iostreams

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColorDecision(t *testing.T) {
	tests := map[string]struct {
		tty  bool
		goos string
		vt   bool
		env  map[string]string
		want bool
	}{
		"a pipe":                           {goos: "linux"},
		"a terminal":                       {tty: true, goos: "linux", want: true},
		"NO_COLOR":                         {tty: true, goos: "linux", env: map[string]string{"NO_COLOR": "1"}},
		"an empty NO_COLOR does not count": {tty: true, goos: "linux", env: map[string]string{"NO_COLOR": ""}, want: true},
		"a dumb terminal":                  {tty: true, goos: "linux", env: map[string]string{"TERM": "dumb"}},
		"the classic Windows console":      {tty: true, goos: "windows"},
		"a Windows console with escapes":   {tty: true, goos: "windows", vt: true, want: true},
		"NO_COLOR in such a one":           {tty: true, goos: "windows", vt: true, env: map[string]string{"NO_COLOR": "1"}},
		"a dumb one":                       {tty: true, goos: "windows", vt: true, env: map[string]string{"TERM": "dumb"}},
		"Git's terminal on Windows":        {tty: true, goos: "windows", env: map[string]string{"TERM": "xterm"}, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, _, _, _ := Test()
			s.SetTTY(false, tt.tty, tt.tty)
			s.SetGOOS(tt.goos)
			s.outEscapes, s.errEscapes = tt.vt, tt.vt
			s.SetLookupEnv(func(k string) (string, bool) { v, ok := tt.env[k]; return v, ok })
			require.Equal(t, tt.want, s.ColorEnabled())
			require.Equal(t, tt.want, s.ErrColorEnabled())

			want := "x"
			if tt.want {
				want = "\x1b[31mx\x1b[0m"
			}
			require.Equal(t, want, s.Paint(Red, "x"))
		})
	}
}
