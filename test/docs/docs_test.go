//go:build linux

// Package docs does what the pages say: it types the commands of every page's
// sessions, with the real programs, in an empty home, and compares what they
// print with what the page shows.
//
// What is executed can be seen in the page:
//
//   - a block "console" is a session: lines after "$ " are commands, the others
//     what they print. "…" stands for anything. {terminal="shop"} is another
//     terminal, whose last command goes on running; {exit="1"} is the exit code of
//     the last command; {skip="why"} is not executed.
//   - a block with {file="shop.py"} is written to that file.
//
// Ports and the home folder are others than the page says, so that pages run
// beside each other.
package docs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// bin is the folder of the programs under test.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "dapr-docs"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	// Without cgo, whatever the tests run with: as the programs are shipped.
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./cmd/...")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build the programs: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// page is one page's world.
type page struct {
	home, folder string
	env          []string
	anotherDay   bool
	// ports are the page's ports, and those used in their place.
	ports map[string]string
}

// portNumber finds the ports of a page.
var portNumber = regexp.MustCompile(`(?:localhost:|127\.0\.0\.1:|port[= ]|PORT=)(\d{4,5})\b`)

// newPage makes an empty home, in which the project was cloned into ~/dapr.
func newPage(t *testing.T, path string) *page {
	t.Helper()
	home := t.TempDir()
	p := &page{home: home, folder: home, ports: make(map[string]string)}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		// What a tester's own shell has set is not what a reader's has.
		if !strings.HasPrefix(name, "DAPR_") && !slices.Contains([]string{"HOME", "PATH", "LANG", "LC_ALL"}, name) {
			p.env = append(p.env, e)
		}
	}
	p.env = append(p.env, "HOME="+home, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // below the tester's home
		value, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		p.env = append(p.env, name+"="+strings.TrimSpace(string(value)))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, m := range portNumber.FindAllStringSubmatch(string(text), -1) {
		if p.ports[m[1]] == "" {
			p.ports[m[1]] = unusedPort(t, p.ports)
		}
	}
	sample := filepath.Join(home, "dapr", "samples")
	require.NoError(t, os.MkdirAll(sample, 0o755))
	copySample(t, filepath.Join(sample, "hello"))
	return p
}

// copySample copies the sample but for its libraries, which are only linked to.
func copySample(t *testing.T, to string) {
	t.Helper()
	from, err := filepath.Abs(filepath.Join(root, "samples", "hello"))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

// unusedPort is outside the range from which programs are given ports.
func unusedPort(t *testing.T, used map[string]string) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(10000 + rand.IntN(20000))
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			continue
		}
		l.Close()
		if !slices.Contains(slices.Collect(maps.Values(used)), port) {
			return port
		}
	}
	t.Fatal("there is no unused port")
	return ""
}

// real is the page's text with the ports that are used here.
func (p *page) real(text string) string {
	return regexp.MustCompile(`\b\d{4,5}\b`).ReplaceAllStringFunc(text, func(port string) string {
		if used := p.ports[port]; used != "" {
			return used
		}
		return port
	})
}

// shown is the other way round, and names the home as the pages do.
func (p *page) shown(text string) string {
	for port, used := range p.ports {
		text = strings.ReplaceAll(text, used, port)
	}
	return strings.NewReplacer(p.home, "/home/ann", "\r\n", "\n").Replace(text)
}

// follow does what the blocks say, from the first to the last.
func (p *page) follow(t *testing.T, blocks []block) {
	t.Helper()
	terminals := make(map[string]*terminal)
	open := func(name string) *terminal {
		if terminals[name] == nil {
			terminals[name] = openTerminal(t, p)
		}
		return terminals[name]
	}
	for _, b := range blocks {
		if file := b.attributes["file"]; file != "" {
			p.write(t, file, strings.Join(b.lines, "\n")+"\n")
		}
		if !b.isSession() {
			continue
		}
		name, exit := b.attributes["terminal"], b.attributes["exit"]
		commands := b.commands(t)
		require.NotEmpty(t, commands, "%s: a session without a command", b.place)
		for i, c := range commands {
			last := i == len(commands)-1
			switch {
			case last && name != "":
				open(name).start(t, c)
			case last && exit != "":
				open(name).run(t, c, exit)
			default:
				open(name).run(t, c, "0")
			}
		}
	}
}

// useRealPorts gives the resources that lie in the page's folder the ports of
// the page.
func (p *page) useRealPorts(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.folder, "*", "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(p.real(string(text))), 0o644))
	}
}

func (p *page) write(t *testing.T, file, text string) {
	t.Helper()
	path := filepath.Join(p.folder, file)
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		path = filepath.Join(p.home, rest)
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(p.real(text)), 0o644))
}

// The SDKs that pages use are locked beside this test.
func (p *page) giveSDKs(t *testing.T) {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(filepath.Join(here, "node_modules"), filepath.Join(p.folder, "node_modules")))
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("gosdk", file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(p.folder, file), text, 0o644))
	}
}

func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("following the pages takes a while")
	}
	followed := 0
	for name, blocks := range pagesWithBlocks(t) {
		if name == "README.md" || !slices.ContainsFunc(blocks, block.isSession) {
			continue
		}
		followed++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPage(t, filepath.Join(root, name))
			if folder := filepath.Dir(name); folder == "docs" {
				p.giveSDKs(t)
			} else { // that of a sample, where its page is read
				p.folder = filepath.Join(p.home, "dapr", folder)
				p.useRealPorts(t)
			}
			p.follow(t, blocks)
		})
	}
	require.GreaterOrEqual(t, followed, 8, "are sessions still found?")
}

// The front page's sessions are indented. They stand in the sample's folder, and
// each app has a terminal of its own.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("following the page takes a while")
	}
	t.Parallel()
	path := filepath.Join(root, "README.md")
	p := newPage(t, path)
	p.folder, p.anotherDay = filepath.Join(p.home, "dapr", "samples", "hello"), true
	followed := 0
	session := openTerminal(t, p)
	for _, b := range readPage(t, path) {
		if b.language != "" || !strings.HasPrefix(b.lines[0], "$ ") {
			continue
		}
		for _, c := range b.commands(t) {
			followed++
			if strings.HasPrefix(c.text, "dapr run ") {
				openTerminal(t, p).start(t, c)
			} else {
				session.run(t, c, "0")
			}
		}
	}
	require.GreaterOrEqual(t, followed, 8, "are sessions still found?")
}
