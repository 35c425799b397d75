//go:build site

// Package site looks at the website that "make site" has built: every link and
// anchor in it, and the pages as a browser shows them.
package site

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// built is where make site puts the site.
const built = "../../site"

var (
	reference = regexp.MustCompile(`<(\w+)[^>]*? (?:href|src|data-index)=(?:"([^"]*)"|([^ >]+))`)
	anchor    = regexp.MustCompile(` id=(?:"([^"]*)"|([^ >]+))`)
)

// pages reads the built pages by their names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(built, "*.html"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "there is no site: run make site")
	all := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all[filepath.Base(file)] = string(text)
	}
	return all
}

func anchors(page string) map[string]bool {
	ids := make(map[string]bool)
	for _, m := range anchor.FindAllStringSubmatch(page, -1) {
		ids[html.UnescapeString(m[1]+m[2])] = true
	}
	return ids
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	linked := map[string]bool{"index.html": true}
	checked := 0
	for name, text := range all {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			element, target := m[1], html.UnescapeString(m[2]+m[3])
			u, err := url.Parse(target)
			require.NoError(t, err, "%s: %s", name, target)
			switch {
			case u.Scheme == "data":
				continue
			case u.IsAbs():
				// A reader's browser asks nobody else for anything.
				assert.Equal(t, "a", element, "%s loads %s from elsewhere", name, target)
				continue
			}
			checked++
			file := path.Clean(u.Path)
			if u.Path == "" {
				file = name
			}
			_, err = os.Stat(filepath.Join(built, file))
			if !assert.NoError(t, err, "%s links to %s", name, target) {
				continue
			}
			if element == "a" {
				linked[file] = true
			}
			if u.Fragment != "" {
				assert.True(t, anchors(all[file])[u.Fragment], "%s links to %s: there is no such section", name, target)
			}
		}
	}
	require.Greater(t, checked, 500, "are links still found?")
	for name := range all {
		assert.True(t, linked[name], "no page links to %s", name)
	}
}

// Every page of the documentation is on the site.
func TestEveryPageIsThere(t *testing.T) {
	all := pages(t)
	sources, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".md") + ".html"
		if name == "README.html" {
			name = "index.html"
		}
		assert.Contains(t, all, name)
	}
}

// browser loads a page in Chromium and returns the document as it is when its
// scripts have run, and what they have complained about.
func browser(t *testing.T, address, size string) (dom, console string) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed, so no browser has looked at the site: .ci/deps site installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--window-size="+size, "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", address)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	require.NoError(t, cmd.Run(), log.String())
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			console += line
		}
	}
	return out.String(), console
}

func TestInABrowser(t *testing.T) {
	pages(t)
	served := http.FileServer(http.Dir(built))
	var missing []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(filepath.Join(built, filepath.FromSlash(path.Clean(r.URL.Path)))); err != nil {
			missing = append(missing, r.URL.Path)
		}
		served.ServeHTTP(w, r)
	}))
	defer server.Close()

	for _, c := range []struct {
		name, path, size string
		// Each must be, or must not be, in the document.
		want, not []string
	}{
		{
			"a page", "/state.html", "1400,900",
			[]string{
				"<title>State · Dapr that installs itself</title>", `<details class="menu" open="">`,
				`aria-current="page">State</a>`, `<button class="copy">Copy</button>`, `href="#two-writers"`,
			}, nil,
		},
		{"the menu of a phone is closed", "/state.html", "500,900", []string{`<details class="menu">`}, nil},
		{
			"a search", "/secrets.html?q=first-write", "1400,900",
			[]string{`<ol id="results"><li><a href="state.html`}, []string{"Nothing found."},
		},
		{"a search for a heading", "/index.html?q=dapr+uninstall", "1400,900", []string{`<a href="cli.html#dapr-uninstall">`}, nil},
		{"a search in vain", "/state.html?q=xyzzy", "1400,900", []string{"Nothing found."}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dom, console := browser(t, server.URL+c.path, c.size)
			assert.Empty(t, console)
			for _, want := range c.want {
				assert.Contains(t, dom, want)
			}
			for _, not := range c.not {
				assert.NotContains(t, dom, not)
			}
		})
	}
	assert.Empty(t, missing, "the pages ask for files that are not there")
}

// widths opens the pages, one after the other, in frames as wide as screens are,
// and lists what is wider than its screen.
const widths = `<!doctype html><pre id="wide"></pre><script>
addEventListener("load", async () => {
  const wide = [];
  for (const page of PAGES) for (const width of [360, 768, 1440]) {
    const frame = document.createElement("iframe");
    frame.width = width;
    frame.height = 800;
    frame.src = page;
    await new Promise((loaded) => { frame.onload = loaded; document.body.append(frame); });
    const root = frame.contentDocument.documentElement;
    if (root.scrollWidth > width) wide.push(page + " is wider than a screen of " + width);
    for (const table of frame.contentDocument.querySelectorAll(".table"))
      if (table.scrollWidth > table.clientWidth) wide.push(page + " has a table that is wider than a screen of " + width + ": " + table.textContent.trim().slice(0, 40));
    frame.remove();
  }
  document.getElementById("wide").textContent = wide.join("\n") || "none";
});
</script>`

func TestNothingIsWiderThanAScreen(t *testing.T) {
	names, err := json.Marshal(slices.Sorted(maps.Keys(pages(t))))
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(built)))
	mux.HandleFunc("/widths", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Replace(widths, "PAGES", string(names), 1))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	dom, _ := browser(t, server.URL+"/widths", "1500,900")
	_, wide, found := strings.Cut(dom, `<pre id="wide">`)
	require.True(t, found)
	wide, _, _ = strings.Cut(wide, "</pre>")
	require.Equal(t, "none", html.UnescapeString(wide))
}

// What is typed stays as it is written: no "–" for "--", no “” for "".
func TestCodeWordsAreNotTypeset(t *testing.T) {
	for name, text := range pages(t) {
		assert.NotRegexp(t, `[–“”]`, text, name)
	}
}
