package resource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return dir
}

func store(name, more string) string {
	return "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: " + name + "\n" + more + "spec:\n  type: state.redis\n"
}

func names(all []Resource) []string {
	var n []string
	for _, r := range all {
		n = append(n, r.Head().Name())
	}
	return n
}

func TestLoadFolders(t *testing.T) {
	first := folder(t, map[string]string{
		"b.yml":            store("b", "") + "---\n" + store("c", ""),
		"a.yaml":           store("a", ""),
		"upper.YAML":       store("u", ""),
		"readme.md":        "not YAML: [",
		"x.json":           "{",
		"nested/deep.yaml": store("deep", ""),
		"folder.yaml/x":    "",
	})
	second := folder(t, map[string]string{"z.yaml": store("z", "")})
	loaded, err := LoadFolders([]string{second, first, first}, Filter{})
	require.NoError(t, err)
	assert.Equal(t, []string{"z", "a", "b", "c", "u"}, names(loaded))
	assert.Equal(t, Source{filepath.Join(first, "b.yml"), 8}, loaded[3].Head().Source)
}

func TestLoadFoldersFollowsLinks(t *testing.T) {
	target := filepath.Join(folder(t, map[string]string{"data": store("a", "")}), "data")
	dir := t.TempDir()
	if err := os.Symlink(target, filepath.Join(dir, "a.yaml")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	loaded, err := LoadFolders([]string{dir}, Filter{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, names(loaded))
}

func TestLoadFoldersFilters(t *testing.T) {
	dir := folder(t, map[string]string{
		"1.yaml": store("all", ""),
		"2.yaml": store("app1", "scopes: [app1]\n"),
		"3.yaml": store("app2", "scopes: [app2, app3]\n"),
		"4.yaml": store("prod", "  namespace: prod\n"),
		"5.yaml": store("test", "  namespace: test\n"),
	})
	for name, tt := range map[string]struct {
		filter Filter
		want   []string
	}{
		"one app":                   {Filter{AppID: "app1"}, []string{"all", "app1", "prod", "test"}},
		"another app, in namespace": {Filter{AppID: "app3", Namespace: "prod"}, []string{"all", "app2", "prod"}},
		"no app":                    {Filter{Namespace: "other"}, []string{"all"}},
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := LoadFolders([]string{dir}, tt.filter)
			require.NoError(t, err)
			assert.Equal(t, tt.want, names(loaded))
		})
	}
}

// What is wrong with a resource of another app is that app's business.
func TestLoadFoldersLeavesMistakesToTheirApp(t *testing.T) {
	dir := folder(t, map[string]string{"1.yaml": store("mine", ""), "2.yaml": store("broken", "scopes: [app2]\nspce: {}\n")})
	loaded, err := LoadFolders([]string{dir}, Filter{AppID: "app1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"mine"}, names(loaded))

	loaded, err = LoadFolders([]string{dir}, Filter{AppID: "app2"})
	assert.EqualError(t, err, filepath.Join(dir, "2.yaml")+":6: spce: unknown field; did you mean spec?")
	assert.Equal(t, []string{"mine"}, names(loaded))
}

func TestLoadFoldersRefusesDuplicates(t *testing.T) {
	dir := folder(t, map[string]string{
		"1.yaml": store("a", ""),
		"2.yaml": store("other", "") + "---\n" + store("a", ""),
		"3.yaml": store("a", "scopes: [app2]\n"), // nobody sees both
		"4.yaml": strings.Replace(store("a", ""), "Component", "MCPServer", 1),
	})
	loaded, err := LoadFolders([]string{dir}, Filter{AppID: "app1"})
	assert.EqualError(t, err, filepath.Join(dir, "2.yaml")+":8: metadata.name: there is a Component named \"a\" already, at "+
		filepath.Join(dir, "1.yaml")+":1; rename one of them")
	assert.Equal(t, []string{"a", "other", "a"}, names(loaded))
}

func TestLoadFoldersNamesBadPaths(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": store("a", "")})
	loaded, err := LoadFolders([]string{filepath.Join(dir, "none"), filepath.Join(dir, "a.yaml"), dir}, Filter{})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, filepath.Join(dir, "a.yaml")+" is a file; name the folder it is in")
	assert.Equal(t, []string{"a"}, names(loaded))
}
