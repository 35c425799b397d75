package runfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	folder, home := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(folder, "node"), filepath.Join(folder, "python"), filepath.Join(home, "cart")} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	text := "version: 1\ncommon: {env: {A: b}}\napps:\n" +
		"- appDirPath: node\n  appID: nodeapp\n  command: [node, app.js]\n" +
		"- appDirPath: ./python/\n" +
		"- appDirPath: ~/cart\n" +
		"- appDirPath: " + filepath.Join(folder, "node") + "\n  appID: absolute\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, Name), []byte(text), 0o600))
	want := []App{
		{ID: "nodeapp", Dir: filepath.Join(folder, "node")},
		{ID: "python", Dir: filepath.Join(folder, "python")},
		{ID: "cart", Dir: filepath.Join(home, "cart")},
		{ID: "absolute", Dir: filepath.Join(folder, "node")},
	}
	for _, path := range []string{folder, filepath.Join(folder, Name)} {
		apps, err := Read(path, home, nil)
		require.NoError(t, err)
		require.Equal(t, want, apps)
	}
	t.Chdir(folder)
	apps, err := Read("-", home, strings.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, "nodeapp", apps[0].ID)
	require.Equal(t, []string{
		filepath.Join(apps[0].Dir, ".dapr", "deploy", "deployment.yaml"), filepath.Join(apps[0].Dir, ".dapr", "deploy", "service.yaml"),
	}, apps[0].Manifests())
}

// app is a run file with an app of the given fields.
func app(fields string) string { return "version: 1\napps: [{" + fields + "}]" }

func TestRunFilesThatDoNotDo(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "app"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), nil, 0o600))
	path := filepath.Join(folder, "run.yaml")
	for text, want := range map[string]string{
		"{":                              "run file " + path + ": error converting YAML to JSON",
		"":                               "run file " + path + `: version: it is missing; write "version: 1"`,
		"version: one":                   "run file " + path + ": version: it is one, but must be a whole number above 0, such as 1",
		"version: 0":                     "version: it is 0, but must be a whole number above 0",
		"version: 1.5":                   "version: it is 1.5, but must be a whole number above 0",
		"version: 1":                     "run file " + path + ": apps: it must be a list of one app or more",
		"version: 1\napps: {a: b}":       "apps: it must be a list of one app or more",
		"version: 1\napps: [x]":          "apps[0].appDirPath: it is missing; write the path of the app's folder",
		"version: 1\napps: [{}]":         "apps[0].appDirPath: it is missing",
		app("appDirPath: [app]"):         "apps[0].appDirPath: it is [app], but must be a text",
		app("appDirPath: none"):          "apps[0].appDirPath: there is no folder " + filepath.Join(folder, "none"),
		app("appDirPath: file"):          "apps[0].appDirPath: " + filepath.Join(folder, "file") + " is not a folder",
		app("appDirPath: app, appID: 7"): "apps[0].appID: it is 7, but must be a text",
		app("appDirPath: app}, {appDirPath: ./app"): `apps[1].appID: "app" is another app's id already`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Read(path, "", nil)
		require.ErrorContains(t, err, want, text)
	}

	_, err := Read(filepath.Join(folder, "none.yaml"), "", nil)
	require.ErrorContains(t, err, "there is no run file "+filepath.Join(folder, "none.yaml")+": give a file, a folder with a dapr.yaml, or - for standard input")
	_, err = Read(folder, "", nil)
	require.EqualError(t, err, "there is no dapr.yaml in the folder "+folder)
	_, err = Read(filepath.Join(folder, "file"), "", nil)
	require.EqualError(t, err, "run file "+filepath.Join(folder, "file")+": its name must end in .yaml or .yml")
	_, err = Read("-", "", strings.NewReader("version: 1"))
	require.EqualError(t, err, "run file from standard input: apps: it must be a list of one app or more")
}
