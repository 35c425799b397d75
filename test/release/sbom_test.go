// Package release tests what users download. The tests with the tag "release"
// look at what `make release-snapshot` has made in dist/, and run at its end.
package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// root is the module's folder as seen from this test.
const root = "../.."

var programs = []string{"dapr", "daprd", "controlplane"}

// neverNames are modules that a scanner must not find in a program. test/house
// says why for packages; an SBOM names whole modules.
var neverNames = map[string][]string{
	"dapr":         {"github.com/dapr/components-contrib"},
	"daprd":        {"helm.sh/helm", "github.com/spf13/cobra", "github.com/spf13/viper", "k8s.io/client-go", "k8s.io/api"},
	"controlplane": {"helm.sh/helm", "github.com/spf13/cobra", "github.com/dapr/components-contrib"},
}

// sbom is what of a CycloneDX document is looked at.
type sbom struct {
	SerialNumber string
	Metadata     struct {
		Timestamp string
		Component component
	}
	Components []component
}

type component struct{ Name, Version string }

func TestSBOM(t *testing.T) {
	write := sbomCommand(t)
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			dir := t.TempDir()
			built := filepath.Join(dir, program)
			build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", built, "./cmd/"+program)
			build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)

			document := filepath.Join(dir, "sbom.json")
			write(t, built, document)
			checkSBOM(t, document, program, nil)

			again := filepath.Join(dir, "again.json")
			write(t, built, again)
			require.Equal(t, read(t, document), read(t, again), "two SBOMs of one program differ")
		})
	}
}

// sbomCommand returns what a release writes its SBOMs with.
func sbomCommand(t *testing.T) func(t *testing.T, program, document string) {
	t.Helper()
	var config struct {
		SBOMs []struct{ Args []string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, filepath.Join(root, ".goreleaser.yaml"))), &config))
	require.Len(t, config.SBOMs, 1)
	tool, err := filepath.Abs(filepath.Join(root, ".cache", "bin", "cyclonedx-gomod"))
	require.NoError(t, err)
	require.FileExists(t, tool, `run ".ci/deps test", which builds it`)
	return func(t *testing.T, program, document string) {
		t.Helper()
		replace := strings.NewReplacer("$artifact", program, "$document", document, "{{ .Version }}", "1.2.3")
		args := slices.Clone(config.SBOMs[0].Args)
		for i := range args {
			args[i] = replace.Replace(args[i])
		}
		out, err := exec.Command(tool, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// checkSBOM holds that a document names what the program links: no more, no
// less. What it links depends on the platform, which env says.
func checkSBOM(t *testing.T, document, program string, env []string) {
	t.Helper()
	var doc sbom
	require.NoError(t, json.Unmarshal([]byte(read(t, document)), &doc))
	assert.Equal(t, modulePath(t), doc.Metadata.Component.Name)
	assert.NotEmpty(t, doc.Metadata.Component.Version)
	assert.Empty(t, doc.Metadata.Timestamp, "two builds of one commit give the same bytes")
	assert.Empty(t, doc.SerialNumber, "two builds of one commit give the same bytes")

	var named []string
	for _, c := range doc.Components {
		require.NotEmpty(t, c.Version, c.Name)
		if c.Name != "std" {
			named = append(named, c.Name+" "+c.Version)
		}
		for _, never := range neverNames[program] {
			assert.False(t, c.Name == never || strings.HasPrefix(c.Name, never+"/"), "%s: its SBOM names %s", program, c.Name)
		}
	}
	slices.Sort(named)
	linked := linkedModules(t, program, env)
	require.Greater(t, len(linked), 10)
	assert.Equal(t, linked, named, "%s: what it links, and what its SBOM names", program)
	assert.Contains(t, doc.Components, component{"std", doc.standard()}, "the standard library has findings too")
}

// standard is the version of the standard library.
func (s sbom) standard() string {
	for _, c := range s.Components {
		if c.Name == "std" {
			return c.Version
		}
	}
	return "none"
}

// linkedModules are those that a program's packages come from, each with its
// version, in order.
func linkedModules(t *testing.T, program string, env []string) []string {
	t.Helper()
	const format = `{{with .Module}}{{if not .Main}}{{with .Replace}}{{.Path}} {{.Version}}{{else}}{{.Path}} {{.Version}}{{end}}{{end}}{{end}}`
	list := exec.Command("go", "list", "-deps", "-f", format, "./cmd/"+program)
	list.Dir, list.Env = root, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	out, err := list.Output()
	require.NoError(t, err)
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)
	return slices.Compact(modules)
}

func modulePath(t *testing.T) string {
	t.Helper()
	first, _, _ := strings.Cut(read(t, filepath.Join(root, "go.mod")), "\n")
	return strings.TrimPrefix(first, "module ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}
