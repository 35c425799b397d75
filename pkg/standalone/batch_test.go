package standalone

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsBatch(t *testing.T) {
	for path, want := range map[string]bool{
		`C:\Program Files\nodejs\npm.cmd`: true,
		`run.BAT`:                         true,
		`C:\Windows\System32\cmd.exe`:     false,
		`C:\tools.cmd\node.exe`:           false,
		`node`:                            false,
	} {
		require.Equal(t, want, isBatch(path), path)
	}
}

func TestBatchLine(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"none":                      {nil, ``},
		"plain":                     {[]string{"run", "--port=3000", `C:\app\x.js`}, ` run "--port=3000" C:\app\x.js`},
		"blanks and an empty one":   {[]string{"a b", ""}, ` "a b" ""`},
		"commands stay arguments":   {[]string{"a&calc", "x|y", "<in", "^"}, ` "a&calc" "x|y" "<in" "^"`},
		"quotes do not end quotes":  {[]string{`a"&calc`, `{"k":1}`}, ` "a""&calc" "{""k"":1}"`},
		"variables stay as written": {[]string{"100%", "%PATH%"}, ` "100%%cd:~,%" "%%cd:~,%PATH%%cd:~,%"`},
		"backslashes":               {[]string{`C:\dir\`, `a\"b`, `a b\\`}, ` "C:\dir\\" "a\\""b" "a b\\\\"`},
		"other letters":             {[]string{"größe"}, ` größe`},
	} {
		t.Run(name, func(t *testing.T) {
			line, err := batchLine(`C:\Program Files\nodejs\npm.cmd`, tt.args)
			require.NoError(t, err)
			require.Equal(t, `cmd.exe /e:ON /v:OFF /d /c ""C:\Program Files\nodejs\npm.cmd"`+tt.want+`"`, line)
		})
	}
	_, err := batchLine("x.cmd", []string{"a\nb"})
	require.ErrorContains(t, err, "takes no argument with a line break")
}
