//go:build release

package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/embed"
)

const (
	dist = root + "/dist"

	// What a user waits for, in bytes.
	maxArchive = 100 * 1000 * 1000
	maxImage   = 90 * 1000 * 1000 // of one processor
)

// targets are the platforms that were built for.
func targets(t *testing.T) []string {
	t.Helper()
	all := strings.Fields(os.Getenv("TARGETS"))
	require.NotEmpty(t, all, "TARGETS lists the platforms in dist/, such as linux_amd64: make release-snapshot sets it")
	return all
}

func system(target string) string { s, _, _ := strings.Cut(target, "_"); return s }

func executable(program, target string) string {
	if system(target) == "windows" {
		return program + ".exe"
	}
	return program
}

func archive(program, target string) string {
	if system(target) == "windows" {
		return program + "_" + target + ".zip"
	}
	return program + "_" + target + ".tar.gz"
}

func TestReleaseHasEveryFileWithItsChecksum(t *testing.T) {
	want := []string{"dapr_image.tar", "dapr_chart.tgz"}
	for _, target := range targets(t) {
		for _, program := range programs {
			want = append(want, archive(program, target), program+"_"+target+".cdx.json")
		}
		if system(target) == "linux" {
			want = append(want, "dapr_"+target+".deb", "dapr_"+target+".rpm")
		}
	}
	installers, err := filepath.Glob(filepath.Join(root, "install", "install.*"))
	require.NoError(t, err)
	for _, file := range installers {
		want = append(want, filepath.Base(file))
	}
	sums := checksums(t)
	for file, sum := range sums {
		assert.Equal(t, sum, hash(t, released(t, file)), file)
		want = slices.DeleteFunc(want, func(w string) bool { return w == file })
	}
	assert.Empty(t, want, "files that are missing")
	count := len(targets(t)) * 2 * len(programs)
	assert.GreaterOrEqual(t, len(sums), count)
}

// checksums reads the file as install.sh does: "HEX  NAME" lines.
func checksums(t *testing.T) map[string]string {
	t.Helper()
	sums := make(map[string]string)
	for line := range strings.Lines(read(t, filepath.Join(dist, "checksums.txt"))) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		require.True(t, ok, line)
		require.Len(t, sum, sha256.Size*2, line)
		sums[name] = sum
	}
	return sums
}

// released is the path of a file that is published.
func released(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(dist, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		path = filepath.Join(root, "bin", "release", name)
	}
	require.FileExists(t, path)
	return path
}

func hash(t *testing.T, path string) string {
	t.Helper()
	return sha(read(t, path))
}

func sha(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func TestReleaseArchives(t *testing.T) {
	day := commitTime(t)
	for _, target := range targets(t) {
		for _, program := range programs {
			t.Run(archive(program, target), func(t *testing.T) {
				var names []string
				for _, e := range unpack(t, archive(program, target)) {
					names = append(names, e.name)
					assert.True(t, e.changed.Equal(day), "%s: the time of %s is the commit's: %s, not %s", target, e.name, day, e.changed)
				}
				want := []string{"LICENSE", executable(program, target)}
				if program == "dapr" {
					want = append(want, "README.md", "CHANGELOG.md", "man/man1/dapr.1", "man/man1/dapr-run.1",
						"completions/bash/dapr", "completions/zsh/_dapr", "completions/fish/dapr.fish", "completions/powershell/dapr.ps1")
				}
				assert.Subset(t, names, want)
				if program != "dapr" {
					assert.Len(t, names, len(want))
				}
			})
		}
	}
}

// The chart installs the image of its own release.
func TestReleaseChart(t *testing.T) {
	day, version, checked := commitTime(t), os.Getenv("VERSION"), 0
	for _, e := range unpack(t, "dapr_chart.tgz") {
		assert.True(t, e.changed.Equal(day), "the time of %s is the commit's: %s, not %s", e.name, day, e.changed)
		switch e.name {
		case "dapr/Chart.yaml":
			assert.Contains(t, e.content, "\nversion: "+version+"\nappVersion: "+version+"\n")
		case "dapr/values.yaml":
			assert.Contains(t, e.content, "\n  tag: "+version+"\n")
		default:
			continue
		}
		checked++
	}
	assert.Equal(t, 2, checked)
}

// A package of Debian's holds the same program, where the system looks for it.
func TestReleaseDebianPackage(t *testing.T) {
	tool, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("no dpkg-deb on this machine")
	}
	installed := map[string]string{
		"dapr":                       "usr/bin/dapr",
		"LICENSE":                    "usr/share/doc/dapr/copyright",
		"CHANGELOG.md":               "usr/share/doc/dapr/CHANGELOG.md",
		"man/man1/dapr-run.1":        "usr/share/man/man1/dapr-run.1.gz",
		"completions/bash/dapr":      "usr/share/bash-completion/completions/dapr",
		"completions/zsh/_dapr":      "usr/share/zsh/vendor-completions/_dapr",
		"completions/fish/dapr.fish": "usr/share/fish/vendor_completions.d/dapr.fish",
	}
	for _, target := range targets(t) {
		if system(target) != "linux" {
			continue
		}
		packed, err := exec.Command(tool, "--fsys-tarfile", released(t, "dapr_"+target+".deb")).Output()
		require.NoError(t, err)
		files := make(map[string]string)
		for _, e := range untar(t, bytes.NewReader(packed)) {
			files[strings.TrimPrefix(e.name, "./")] = e.content
		}
		for _, e := range unpack(t, archive("dapr", target)) {
			if path, ok := installed[e.name]; ok {
				if strings.HasSuffix(path, ".gz") {
					r, err := gzip.NewReader(strings.NewReader(files[path]))
					require.NoError(t, err, path)
					page, err := io.ReadAll(r)
					require.NoError(t, err, path)
					files[path] = string(page)
				}
				assert.Equal(t, sha(e.content), sha(files[path]), "%s: %s is not what the archive has as %s", target, path, e.name)
			}
		}
	}
}

// The same in a package of Red Hat's, which owns its folders and runs nothing.
func TestReleaseRPM(t *testing.T) {
	tool, err := exec.LookPath("rpm")
	if err != nil {
		t.Skip("no rpm on this machine")
	}
	query := func(args ...string) string {
		out, err := exec.Command(tool, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, target := range targets(t) {
		if system(target) != "linux" {
			continue
		}
		file := released(t, "dapr_"+target+".rpm")
		assert.Contains(t, query("-K", file), "digests OK")
		assert.Empty(t, query("-qp", "--scripts", file))
		assert.Contains(t, query("-qp", "--licensefiles", file), "/usr/share/licenses/dapr/LICENSE\n")
		want := map[string]string{
			"/usr/share/doc/dapr":      "",
			"/usr/share/licenses/dapr": "",
		}
		for _, e := range unpack(t, archive("dapr", target)) {
			switch e.name {
			case "dapr":
				want["/usr/bin/dapr"] = sha(e.content)
			case "LICENSE":
				want["/usr/share/licenses/dapr/LICENSE"] = sha(e.content)
			case "CHANGELOG.md":
				want["/usr/share/doc/dapr/CHANGELOG.md"] = sha(e.content)
			case "completions/bash/dapr":
				want["/usr/share/bash-completion/completions/dapr"] = sha(e.content)
			case "completions/zsh/_dapr":
				want["/usr/share/zsh/site-functions/_dapr"] = sha(e.content)
			case "completions/fish/dapr.fish":
				want["/usr/share/fish/vendor_completions.d/dapr.fish"] = sha(e.content)
			}
			if page, ok := strings.CutPrefix(e.name, "man/"); ok {
				want["/usr/share/man/"+page+".gz"] = hash(t, filepath.Join(root, "bin", "share", "packed", page+".gz"))
			}
		}
		got := make(map[string]string)
		for line := range strings.Lines(query("-qp", "--qf", `[%{FILENAMES} %{FILEDIGESTS}\n]`, file)) {
			name, sum, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			got[name] = sum
		}
		assert.Equal(t, want, got, target)
	}
}

func commitTime(t *testing.T) time.Time {
	t.Helper()
	show := exec.Command("git", "log", "-1", "--format=%cI")
	show.Dir = root
	out, err := show.Output()
	require.NoError(t, err)
	day, err := time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
	require.NoError(t, err)
	return day
}

type entry struct {
	name    string
	changed time.Time
	content string
}

func unpack(t *testing.T, file string) []entry {
	t.Helper()
	data := read(t, released(t, file))
	if strings.HasSuffix(file, ".zip") {
		return unzip(t, data)
	}
	packed, err := gzip.NewReader(strings.NewReader(data))
	require.NoError(t, err)
	return untar(t, packed)
}

func untar(t *testing.T, packed io.Reader) (all []entry) {
	t.Helper()
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		all = append(all, entry{header.Name, header.ModTime, string(content)})
	}
}

func unzip(t *testing.T, data string) (all []entry) {
	t.Helper()
	packed, err := zip.NewReader(strings.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	for _, f := range packed.File {
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		all = append(all, entry{f.Name, f.Modified, string(content)})
	}
	return all
}

// programIn returns a program out of its archive.
func programIn(t *testing.T, program, target string) string {
	t.Helper()
	for _, e := range unpack(t, archive(program, target)) {
		if e.name == executable(program, target) {
			return e.content
		}
	}
	require.Fail(t, "not in its archive", "%s for %s", program, target)
	return ""
}

// A CLI carries the programs of its own platform and, to build the image of,
// those for Linux: the same that stand in archives of their own, digit by digit.
func TestReleasePayloads(t *testing.T) {
	for _, target := range targets(t) {
		t.Run(target, func(t *testing.T) {
			cli := programIn(t, "dapr", target)
			// assert.Contains would print all of it.
			carries := func(part string) bool { return strings.Contains(cli, part) }
			carried := []string{target, "linux_amd64", "linux_arm64"}
			if len(targets(t)) == 1 {
				_, processor, _ := strings.Cut(target, "_")
				carried = []string{target, "linux_" + processor}
			}
			for _, platform := range carried {
				folder := filepath.Join(root, "embed", "payload", platform)
				manifest := read(t, filepath.Join(folder, embed.ManifestFile))
				assert.True(t, carries(manifest), "the manifest of %s is not inside", platform)
				var m embed.Manifest
				require.NoError(t, json.Unmarshal([]byte(manifest), &m))
				require.Len(t, m.Programs, 2)
				for _, p := range m.Programs {
					assert.True(t, carries(read(t, filepath.Join(folder, embed.PackedFile(p.Name)))), "%s for %s is not inside", p.Name, platform)
					if slices.Contains(targets(t), platform) {
						assert.Equal(t, sha(programIn(t, p.Name, platform)), p.SHA256, "%s for %s is another than the one of its archive", p.Name, platform)
					}
				}
			}
			others := slices.DeleteFunc(slices.Clone(targets(t)), func(p string) bool { return slices.Contains(carried, p) })
			for _, platform := range others {
				manifest := read(t, filepath.Join(root, "embed", "payload", platform, embed.ManifestFile))
				assert.False(t, carries(manifest), "the payload of %s costs every user of %s its download", platform, target)
			}
		})
	}
}

func TestReleaseSBOMs(t *testing.T) {
	for _, target := range targets(t) {
		goos, goarch, _ := strings.Cut(target, "_")
		for _, program := range programs {
			document := program + "_" + target + ".cdx.json"
			t.Run(document, func(t *testing.T) {
				path := filepath.Join(dist, document)
				checkSBOM(t, path, program, []string{"GOOS=" + goos, "GOARCH=" + goarch})
				var doc sbom
				require.NoError(t, json.Unmarshal([]byte(read(t, path)), &doc))
				assert.Equal(t, "v"+os.Getenv("VERSION"), doc.Metadata.Component.Version)
			})
		}
	}
}

// The CLI of this machine's platform is taken out of its archive and used.
func TestReleaseRuns(t *testing.T) {
	host := runtime.GOOS + "_" + runtime.GOARCH
	if !slices.Contains(targets(t), host) {
		t.Skip("nothing was built for " + host)
	}
	dir := t.TempDir()
	cli := filepath.Join(dir, executable("dapr", host))
	require.NoError(t, os.WriteFile(cli, []byte(programIn(t, "dapr", host)), 0o755))
	dapr := func(args ...string) string {
		cmd := exec.Command(cli, args...)
		cmd.Env = append(os.Environ(), "DAPR_RUNTIME_PATH="+dir)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	version := os.Getenv("VERSION")
	require.Contains(t, dapr("--version"), version)
	dapr("init")
	for _, program := range []string{"daprd", "controlplane"} {
		installed := filepath.Join(dir, ".dapr", "bin", executable(program, host))
		require.Equal(t, sha(programIn(t, program, host)), hash(t, installed))
		out, err := exec.Command(installed, "--version").Output()
		require.NoError(t, err)
		require.Equal(t, version, strings.TrimSpace(string(out)), program)
	}

	// The image that is published is the one that everybody can build.
	saved := filepath.Join(dir, "image.tar")
	dapr("image", "save", saved)
	require.Equal(t, hash(t, released(t, "dapr_image.tar")), hash(t, saved))
}

// Package managers take what has the hash in their manifest.
func TestReleaseManifests(t *testing.T) {
	sums, all := checksums(t), len(targets(t)) > 1
	version := os.Getenv("VERSION")
	for _, m := range []struct {
		path, version string
		systems       []string
	}{
		{"homebrew/Casks/dapr.rb", "#{version}", []string{"linux", "darwin"}},
		{"scoop/dapr.json", version, []string{"windows"}},
		{"winget/manifests/*/*/dapr/*/*.installer.yaml", version, []string{"windows"}},
	} {
		if !all && !slices.Contains(m.systems, system(targets(t)[0])) {
			continue
		}
		found, err := filepath.Glob(filepath.Join(dist, m.path))
		require.NoError(t, err)
		require.Len(t, found, 1, m.path)
		text := strings.ToLower(read(t, found[0]))
		for _, target := range targets(t) {
			if slices.Contains(m.systems, system(target)) {
				assert.Contains(t, text, sums[archive("dapr", target)], "%s: %s", m.path, target)
				assert.Contains(t, text, strings.TrimPrefix(modulePath(t), "github.com/")+"/releases/download/v"+m.version+"/"+archive("dapr", target), m.path)
			}
		}
	}
}

func TestReleaseSizes(t *testing.T) {
	for _, target := range targets(t) {
		for _, program := range programs {
			info, err := os.Stat(released(t, archive(program, target)))
			require.NoError(t, err)
			checkSize(t, archive(program, target), info.Size(), maxArchive)
		}
	}
	files := make(map[string]string)
	for _, e := range untar(t, strings.NewReader(read(t, released(t, "dapr_image.tar")))) {
		files[e.name] = e.content
	}
	// An OCI layout: its index names that of the image, which has one manifest a
	// processor.
	var top v1.IndexManifest
	require.NoError(t, json.Unmarshal([]byte(files["index.json"]), &top))
	require.Len(t, top.Manifests, 1)
	index, err := v1.ParseIndexManifest(strings.NewReader(blob(files, top.Manifests[0].Digest)))
	require.NoError(t, err)
	for _, m := range index.Manifests {
		manifest, err := v1.ParseManifest(bytes.NewReader([]byte(blob(files, m.Digest))))
		require.NoError(t, err)
		var size int64
		for _, layer := range manifest.Layers {
			size += layer.Size
		}
		checkSize(t, "image for "+m.Platform.String(), size, maxImage)
	}
	want := 2
	if len(targets(t)) == 1 {
		want = 1
	}
	require.Len(t, index.Manifests, want)
}

func blob(files map[string]string, digest v1.Hash) string {
	return files["blobs/"+digest.Algorithm+"/"+digest.Hex]
}

func checkSize(t *testing.T, what string, size, most int64) {
	t.Helper()
	const mega = 1e6
	fmt.Printf("%-36s %6.1f MB of at most %d MB\n", what, float64(size)/mega, int(float64(most)/mega))
	assert.LessOrEqual(t, size, most, "%s is too large", what)
}
