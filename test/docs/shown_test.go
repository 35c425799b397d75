//go:build linux

package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cli "github.com/hyperdapr/dapr/pkg/cmd/root"
	"github.com/hyperdapr/dapr/pkg/cmdutil"
	"github.com/hyperdapr/dapr/pkg/iostreams"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/runfile"
)

// only are the blocks that a page shows and nobody executes: by page and first
// line, each with the reason. An asterisk is all of a page. What else holds them
// is below: their commands are parsed, their YAML is read, their status lines
// are looked for in the code.
var only = map[string]map[string]string{
	"README.md": {
		"curl -fsSL https://github.com/hyperdapr/dapr/releases/latest/download/install.sh | sh":   "test/install types it, with a server of its own",
		"make demo       # builds it, and shows two apps in two languages through their sidecars": ".ci/run makes test, and the demo has a test",
	},
	"docs/architecture.md": {
		"pkg/state/": "no session, but a list of files",
	},
	"docs/cli.md": {
		"*": "generated from the commands",
	},
	"docs/contributing.md": {
		"make            # lists the targets": "make would run this very test",
	},
	"docs/doctor.md": {
		"$ dapr doctor": "the damage is made, and found, by test/e2e/testdata/doctor.txtar",
		"- run: dapr doctor -k -o json > doctor.json": "steps of somebody's CI",
	},
	"docs/install.md":   {"*": "test/install reads this page, and installs from a server of its own"},
	"docs/releasing.md": {"*": "test/release looks at what these commands have made"},
}

// pagesWithBlocks are all pages that readers follow, by their paths in the project.
func pagesWithBlocks(t *testing.T) map[string][]block {
	t.Helper()
	pages := make(map[string][]block)
	for _, pattern := range []string{"README.md", "docs/*.md", "samples/*/README.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			rel, err := filepath.Rel(root, path)
			require.NoError(t, err)
			pages[filepath.ToSlash(rel)] = readPage(t, path)
		}
	}
	return pages
}

// typed tells whether the other tests of this package execute the block.
func (b *block) typed(page string) bool {
	if page == "README.md" {
		return strings.HasPrefix(b.lines[0], "$ ")
	}
	return b.isSession() || b.attributes["skip"] == "" && b.attributes["file"] != ""
}

// A block is executed, or says in the page why not, or stands above.
func TestEveryBlockIsTypedOrSaysWhyNot(t *testing.T) {
	pages := pagesWithBlocks(t)
	for page, blocks := range pages {
		reasons := only[page]
		used := make(map[string]bool)
		for _, b := range blocks {
			key := b.lines[0]
			if reasons["*"] != "" {
				key = "*"
			}
			switch {
			case b.typed(page):
				assert.NotContains(t, reasons, b.lines[0], "%s: is executed, so only need not name it", b.place)
			case b.attributes["skip"] != "":
			case reasons[key] != "":
				used[key] = true
			default:
				t.Errorf("%s: nobody executes this block: make it a session (```console) or a file ({file=\"…\"}), "+
					"give the page a reason ({skip=\"…\"}), or name it in only in test/docs/shown_test.go\n%s", b.place, strings.Join(b.lines, "\n"))
			}
		}
		for line := range reasons {
			assert.True(t, used[line], "only names a block of %s that is not there: %s", page, line)
		}
	}
	for page := range only {
		assert.Contains(t, pages, page, "only names a page that is not there")
	}
}

// A page that the first one does not lead to is found by chance.
func TestTheFirstPageLeadsToAll(t *testing.T) {
	first, err := os.ReadFile(filepath.Join(root, "docs", "README.md"))
	require.NoError(t, err)
	for page := range pagesWithBlocks(t) {
		if name, is := strings.CutPrefix(page, "docs/"); is && name != "README.md" {
			assert.Contains(t, string(first), "("+name+")", "docs/README.md does not lead to %s", page)
		}
	}
}

var (
	inlineCode = regexp.MustCompile("`(dapr [^`]+)`")
	// cliCall finds the calls of the command line in a line for a shell.
	cliCall = regexp.MustCompile(`(?:^|[\s(|])dapr( [^|>&;)#]*)?`)
	quoted  = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// Every command that a page names, in a block or within a sentence, is one, and
// has the flags it is given.
func TestEveryCommandIsThere(t *testing.T) {
	checked := 0
	for page, blocks := range pagesWithBlocks(t) {
		for _, b := range blocks {
			usage := page == "docs/cli.md" && b.language == ""
			if usage || slices.Contains([]string{"yaml", "json", "js", "go", "python"}, b.language) {
				continue
			}
			text := strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", " ")
			for line := range strings.SplitSeq(text, "\n") {
				if b.language == "console" || strings.HasPrefix(b.lines[0], "$ ") {
					command, is := strings.CutPrefix(line, "$ ")
					if !is {
						continue
					}
					line = command
				}
				line, _, _ = strings.Cut(line, "# ")
				if strings.HasPrefix(b.lines[0], "Your system is") || strings.HasPrefix(b.lines[0], "curl -fsSLO") || strings.HasPrefix(line, "    ") {
					continue // what an installer prints, and downloads
				}
				if strings.HasPrefix(line, "helm ") {
					continue // whose release has the name of the program
				}
				for _, call := range cliCall.FindAllStringSubmatch(quoted.ReplaceAllString(line, "X"), -1) {
					checked++
					assert.NoError(t, parse(t, call[1], true), "%s: dapr%s", b.place, call[1])
				}
			}
		}
		text, err := os.ReadFile(filepath.Join(root, page))
		require.NoError(t, err)
		for _, m := range inlineCode.FindAllStringSubmatch(string(text), -1) {
			checked++
			command := strings.NewReplacer("…", "", "\n", " ").Replace(m[1])
			assert.NoError(t, parse(t, strings.TrimPrefix(quoted.ReplaceAllString(command, "X"), "dapr"), false), "%s: %s", page, m[1])
		}
	}
	require.Greater(t, checked, 150, "are commands still found?")
}

// parse reads a command line as the program would, without running it. Within a
// sentence, what a command needs may be left out.
func parse(t *testing.T, line string, complete bool) error {
	t.Helper()
	streams, _, _, _ := iostreams.Test()
	cmd, args, err := cli.NewCmdRoot(cmdutil.NewFactory(nil, streams)).Find(strings.Fields(line))
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	err = cmd.ParseFlags(args)
	switch {
	case err != nil && !complete && strings.Contains(err.Error(), "needs an argument"):
		return nil
	case err != nil:
		return err
	case cmd.HasSubCommands() && cmd.HasParent() && len(cmd.Flags().Args()) > 0:
		return fmt.Errorf("unknown command %q for %q", cmd.Flags().Arg(0), cmd.CommandPath())
	case complete:
		return cmd.ValidateArgs(cmd.Flags().Args())
	}
	return nil
}

// A resource or a run file that is only shown is read as strictly as by the
// programs.
func TestShownYAMLIsRight(t *testing.T) {
	resources, runFiles := 0, 0
	for page, blocks := range pagesWithBlocks(t) {
		for _, b := range blocks {
			text := strings.Join(b.lines, "\n") + "\n"
			switch {
			case b.language != "yaml" || page == "docs/troubleshooting.md": // which shows mistakes
			case strings.Contains(text, "apiVersion: dapr.io/"):
				resources++
				_, err := resource.Parse(b.place, []byte(text))
				assert.NoError(t, err)
			case strings.HasPrefix(text, "version: 1\napps:"):
				runFiles++
				folder := t.TempDir()
				require.NoError(t, os.Mkdir(filepath.Join(folder, "node"), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(folder, "dapr.yaml"), []byte(text), 0o644))
				_, err := runfile.Read(filepath.Join(folder, "dapr.yaml"), folder, nil)
				assert.NoError(t, err, b.place)
			}
		}
	}
	require.Positive(t, resources)
	require.Positive(t, runFiles)
}

// formats are the texts of the code, as expressions: what is put in is anything.
// A finding of the doctor stands behind the name of its check.
var formats = sync.OnceValues(func() ([]*regexp.Regexp, error) {
	verb := regexp.MustCompile(`%[+#]?[a-z]`)
	var all []*regexp.Regexp
	err := filepath.WalkDir(filepath.Join(root, "pkg"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			letters := strings.Count(strings.Map(func(r rune) rune {
				if unicode.IsLetter(r) {
					return 'x'
				}
				return -1
			}, verb.ReplaceAllString(text, "")), "x")
			if err == nil && letters >= 8 && !strings.Contains(text, "\n") {
				var parts []string
				for _, part := range verb.Split(text, -1) {
					parts = append(parts, regexp.QuoteMeta(part))
				}
				// Some texts are put together of two: "Waiting for " + name.
				expression := strings.Join(parts, ".*")
				if strings.HasSuffix(text, " ") {
					expression += ".*"
				}
				if strings.HasPrefix(text, ";") {
					expression = ".*" + expression
				}
				all = append(all, regexp.MustCompile("^(?:[a-z-]+: )?"+expression+"$"))
			}
			return true
		})
		return nil
	})
	return all, err
})

// The status lines of sessions that nobody executes are some of the code's.
func TestShownStatusLinesAreInTheCode(t *testing.T) {
	all, err := formats()
	require.NoError(t, err)
	status := regexp.MustCompile(`^(?:✅|❌|ℹ️|⚠|⌛) +(.*)$`)
	checked := 0
	for page, blocks := range pagesWithBlocks(t) {
		for _, b := range blocks {
			if b.typed(page) {
				continue
			}
			for i, line := range b.lines {
				m := status.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				checked++
				is := func(format *regexp.Regexp) bool { return format.MatchString(m[1]) }
				assert.True(t, slices.ContainsFunc(all, is), "%s+%d: nothing in pkg/ prints this: %s", b.place, i+1, line)
			}
		}
	}
	require.Greater(t, checked, 10, "are status lines still found?")
}

// A reader looks for the message that he sees: what a heading of the page about
// trouble quotes is printed by some session that is typed.
func TestQuotedMessagesArePrinted(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	require.NoError(t, err)
	var printed strings.Builder
	for page, blocks := range pagesWithBlocks(t) {
		for _, b := range blocks {
			if b.language == "console" && b.typed(page) {
				for _, c := range b.commands(t) {
					printed.WriteString(strings.Join(c.output, "\n") + "\n")
				}
			}
		}
	}
	headings := regexp.MustCompile(`(?m)^## "(.*)"$`).FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(headings), 10, "are messages still found?")
	for _, m := range headings {
		message := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(m[1]), "…", ".*"))
		// Within JSON a message's own quotes are escaped.
		assert.True(t, message.MatchString(strings.ReplaceAll(printed.String(), `\"`, `"`)), "docs/troubleshooting.md quotes what no session prints: %s", m[1])
	}
}
