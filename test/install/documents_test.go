//go:build linux

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const page = "../../docs/install.md"

// What the page tells a reader to type works, with the mirror for the releases.
func TestPage(t *testing.T) {
	if !strings.Contains(archiveName, "amd64") {
		t.Skip("the page's examples are for amd64")
	}
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	done := 0
	for _, block := range regexp.MustCompile(`(?m)(^    .*\n)+`).FindAllString(string(text), -1) {
		if !strings.Contains(block, "curl ") && !strings.Contains(block, "wget ") {
			continue // for another shell, what is printed, or what removes
		}
		t.Run(block, func(t *testing.T) {
			m := newMirror(t)
			block = strings.NewReplacer("https://"+module(t)+"/releases", m.url, "http://mirror.example", m.url).Replace(block)
			p := newPerson(t, m, "curl", "wget", "sha256sum", "grep", "bash", "sh")
			home := t.TempDir()
			p.env = append(p.env, "HOME="+home)
			cmd := p.command(t, "/bin/sh", "-e", "-c", block)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			switch {
			case strings.Contains(block, "DAPR_INSTALL_DIR"):
				assert.Equal(t, []string{"dapr"}, list(t, filepath.Join(home, ".local", "bin")))
			case strings.Contains(block, "mkdir"):
				files := []string{"checksums.txt", archiveName, "install.sh"}
				assert.Equal(t, files, list(t, filepath.Join(cmd.Dir, "mirror", "download", "v1.2.3")))
			case strings.Contains(block, "./dapr"):
				assert.True(t, strings.HasSuffix(string(out), is123), "%s", out)
			default:
				assert.Equal(t, is123, p.installed(t))
			}
			done++
		})
	}
	assert.Equal(t, 6, done, "a block of the page was not found")
}

// The two installers and the page know the same variables.
func TestInstallersAgree(t *testing.T) {
	variables := regexp.MustCompile(`DAPR_INSTALL_[A-Z_]+`)
	var want []string
	for _, file := range []string{script, powershell, page} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := variables.FindAllString(string(text), -1)
		slices.Sort(found)
		found = slices.Compact(found)
		if want == nil {
			want = found
		}
		assert.Equal(t, want, found, file)
	}
	assert.Len(t, want, 3)
}

// The one installer knows all of Windows' platforms, as the other all others.
func TestWindowsPlatforms(t *testing.T) {
	text, err := os.ReadFile(powershell)
	require.NoError(t, err)
	windows := regexp.MustCompile(`windows_\w+`)
	var want []string
	for _, platform := range builtPlatforms(t) {
		if windows.MatchString(platform) {
			want = append(want, platform)
			assert.Contains(t, string(text), "$system = '"+platform+"'")
		}
	}
	assert.Contains(t, string(text), "Supported: "+strings.Join(want, " ")+`"`)
}

// What makes PowerShell stumble over a text that it gets through a pipe.
func TestPowerShellText(t *testing.T) {
	text, err := os.ReadFile(powershell)
	require.NoError(t, err)
	for i, b := range text {
		require.Less(t, b, byte(0x80), "Windows PowerShell reads byte %d as another character", i)
	}
	assert.NotRegexp(t, `(?im)^[^#]*\bexit\b`, string(text), "within iex it closes the window")
	assert.NotContains(t, string(text), "\r")
	// All that runs stands in one block: a text that is cut off is no valid one.
	_, after, found := strings.Cut(string(text), "\n& {\n")
	require.True(t, found)
	assert.Equal(t, 1, strings.Count(after, "\n}"))
	assert.True(t, strings.HasSuffix(after, "\n}\n"))
}
