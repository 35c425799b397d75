package cmdutil

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/iostreams"
)

func noon() time.Time { return time.Date(2026, 1, 2, 13, 0, 0, 0, time.FixedZone("", 3600)) }

func TestStatusLines(t *testing.T) {
	tests := map[string]struct {
		goos        string
		asJSON      bool
		out, errOut string
	}{
		"symbols": {
			goos:   "linux",
			out:    "✅  <a> & 1\n⚠  b\nℹ️  c\n⌛  d\n",
			errOut: "❌  e 100%\n",
		},
		"no symbols on Windows": {
			goos:   "windows",
			out:    "<a> & 1\nb\nc\nd\n",
			errOut: "e 100%\n",
		},
		"JSON": {
			goos:   "linux",
			asJSON: true,
			out: `{"time":"2026-01-02T12:00:00Z","status":"success","msg":"<a> & 1"}
{"time":"2026-01-02T12:00:00Z","status":"warning","msg":"b"}
{"time":"2026-01-02T12:00:00Z","status":"info","msg":"c"}
{"time":"2026-01-02T12:00:00Z","status":"pending","msg":"d"}
`,
			errOut: `{"time":"2026-01-02T12:00:00Z","status":"failure","msg":"e 100%"}` + "\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			streams, _, out, errOut := iostreams.Test()
			streams.SetGOOS(tt.goos)
			p := NewPrinter(streams, noon, func() bool { return tt.asJSON })
			p.Success("<a> & %d", 1)
			p.Warning("b")
			p.Info("c")
			p.Pending("d")
			p.Failure("e 100%%")
			require.Equal(t, tt.out, out.String())
			require.Equal(t, tt.errOut, errOut.String())
		})
	}
}

func TestASpinnerIsALineInAPipe(t *testing.T) {
	streams, _, out, errOut := iostreams.Test()
	p := NewPrinter(streams, noon, func() bool { return false })
	p.Spin("one")(nil)
	p.Spin("two")(errors.New("broken"))
	require.Equal(t, "⌛  one\n✅  one\n⌛  two\n", out.String())
	require.Equal(t, "❌  two\n", errOut.String())
}

func TestASpinnerTurnsOnATerminal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no pseudo terminals of this kind")
	}
	ours, theirs, err := pty.Open()
	require.NoError(t, err)
	defer ours.Close()
	streams := iostreams.System(theirs, theirs, theirs, func(string) (string, bool) { return "", false })
	require.True(t, streams.IsStdoutTTY())
	p := NewPrinter(streams, noon, func() bool { return false })

	done := p.Spin("working")
	var seen strings.Builder
	read := func(until string) {
		buf := make([]byte, 256)
		require.NoError(t, ours.SetReadDeadline(time.Now().Add(10*time.Second)))
		for !strings.Contains(seen.String(), until) {
			n, err := ours.Read(buf)
			require.NoError(t, err, "read so far: %q", seen.String())
			seen.Write(buf[:n])
		}
	}
	read("→") // the second picture: it moves
	require.NotContains(t, seen.String(), "⌛")
	go done(nil)
	read("✅  working")
	require.NoError(t, theirs.Close())
}

func TestTable(t *testing.T) {
	var b strings.Builder
	table := Table{
		Headers: []string{"App_ID", "blank", "Command"},
		Rows:    [][]string{{"nodeapp", "", "node\napp.js"}, {"ü", " ", ""}},
	}
	require.NoError(t, table.Write(&b))
	require.Equal(t, "APP ID   COMMAND\nnodeapp  node app.js\nü\n", b.String())

	b.Reset()
	require.NoError(t, Table{Headers: []string{"a", "b"}}.Write(&b))
	require.Equal(t, "A  B\n", b.String())

	r, w := io.Pipe()
	require.NoError(t, r.Close())
	require.ErrorIs(t, table.Write(w), io.ErrClosedPipe)
}

func TestMachineReadableOutput(t *testing.T) {
	v := []struct {
		AppID string `json:"appId"`
	}{{"a&b"}}
	var b strings.Builder
	require.NoError(t, WriteJSON(&b, v))
	require.JSONEq(t, `[{"appId":"a&b"}]`, b.String())
	require.True(t, strings.HasPrefix(b.String(), "[\n  {\n    \"appId\""), b.String())
	require.True(t, strings.HasSuffix(b.String(), "]"), "scripts expect no line break at the end")

	b.Reset()
	require.NoError(t, WriteYAML(&b, v))
	require.Equal(t, "- appId: a&b\n", b.String())
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0s",
		60 * time.Second:              "60s",
		61 * time.Second:              "1m",
		60 * time.Minute:              "60m",
		61 * time.Minute:              "1h",
		24 * time.Hour:                "24h",
		49*time.Hour + 30*time.Minute: "2d",
	} {
		require.Equal(t, want, Age(d), d)
	}
}
