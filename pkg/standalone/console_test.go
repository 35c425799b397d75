package standalone

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fixture is two programs on one screen.
type fixture struct {
	screen, journal, files buffer
	console                *console
	app, sidecar           *source
}

func newFixture(color bool) *fixture {
	f := &fixture{}
	f.console = &console{journal: &f.journal, color: color}
	f.app = &source{console: f.console, prefix: "A| ", style: "1", screen: &f.screen, copy: &f.files}
	f.sidecar = &source{console: f.console, prefix: "D| ", style: "2", screen: &f.screen, copy: &f.files}
	return f
}

func (s *source) write(t *testing.T, text string) {
	t.Helper()
	n, err := s.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

// showsPrompt waits for a line without an end.
func (f *fixture) showsPrompt(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.HasSuffix(f.screen.String(), text) }, 10*time.Second, time.Millisecond)
}

func TestLinesInPiecesStayWhole(t *testing.T) {
	f := newFixture(false)
	f.app.write(t, "one\ntw")
	f.sidecar.write(t, "other\r\n")
	f.app.write(t, "o\n\nthree")
	f.app.close()
	f.sidecar.close()
	want := "A| one\nD| other\nA| two\nA| \nA| three\n"
	require.Equal(t, want, f.screen.String())
	require.Equal(t, want, f.journal.String())
	require.Equal(t, "one\nother\ntwo\n\nthree\n", f.files.String())
}

func TestPromptsAreShownAndKeptOnce(t *testing.T) {
	f := newFixture(false)
	f.app.write(t, "name? ")
	f.showsPrompt(t, "A| name? ")
	f.app.write(t, "age? ")
	f.showsPrompt(t, "A| name? age? ")
	f.app.write(t, "thanks\n")
	require.Equal(t, "A| name? age? thanks\n", f.screen.String())
	require.Equal(t, "A| name? age? thanks\n", f.journal.String())
}

func TestAPromptGivesWay(t *testing.T) {
	f := newFixture(false)
	f.app.write(t, "name? ")
	f.showsPrompt(t, "A| name? ")
	f.sidecar.write(t, "news\n")
	f.console.between(func() { f.screen.Write([]byte("status\n")) })
	f.app.write(t, "Ada\n")
	require.Equal(t, "A| name? \nD| news\nstatus\nA| name? Ada\n", f.screen.String())
	require.Equal(t, "D| news\nA| name? Ada\n", f.journal.String())
}

func TestColoursAreForTheScreenOnly(t *testing.T) {
	f := newFixture(true)
	f.app.write(t, "\x1b[31mred\x1b[0m\n")
	require.Equal(t, "\x1b[1mA| \x1b[0m\x1b[31mred\x1b[0m\n", f.screen.String())
	require.Equal(t, "A| red\n", f.journal.String())
	require.Equal(t, "red\n", f.files.String())
}

func TestNorAreTitlesAndLinks(t *testing.T) {
	f := newFixture(true)
	f.app.write(t, "\x1b]0;npm start\x07\x1b]8;;http://localhost\x1b\\here\x1b]8;;\x1b\\\n")
	require.Equal(t, "here\n", f.files.String())
}

func TestALineWithoutEndIsBroken(t *testing.T) {
	f := newFixture(false)
	f.app.write(t, strings.Repeat("x", longestLine))
	f.app.write(t, "y\n")
	require.Equal(t, strings.Repeat("x", longestLine)+"\ny\n", f.files.String())
}
