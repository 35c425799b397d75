package runfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/test/golden"
)

func TestRead(t *testing.T) {
	folder, home := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(folder, "node"), filepath.Join(folder, "python"), filepath.Join(home, "cart")} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	text := "version: 1\ncommon: {env: {A: b}}\napps:\n" +
		"- appDirPath: node\n  appID: nodeapp\n  command: [node, app.js]\n  appPort: 3000\n  metricsPort: -1\n  env: {A: c, COUNT: 5, TRACE: true}\n" +
		"  containerImage: r/node:1\n  containerImagePullPolicy: Never\n  createService: true\n" +
		"- appDirPath: ./python/\n" +
		"- appDirPath: ~/cart\n" +
		"- appDirPath: " + filepath.Join(folder, "node") + "\n  appID: absolute\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, Name), []byte(text), 0o600))
	common := map[string]string{"A": "b"}
	want := []App{
		{
			ID: "nodeapp", Dir: filepath.Join(folder, "node"), Port: 3000, Env: map[string]string{"A": "c", "COUNT": "5", "TRACE": "true"},
			Image: "r/node:1", PullPolicy: "Never", CreateService: true,
		},
		{ID: "python", Dir: filepath.Join(folder, "python"), Env: common, PullPolicy: "Always"},
		{ID: "cart", Dir: filepath.Join(home, "cart"), Env: common, PullPolicy: "Always"},
		{ID: "absolute", Dir: filepath.Join(folder, "node"), Env: common, PullPolicy: "Always"},
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
}

// app is a run file with an app of the given fields.
func app(fields string) string { return "version: 1\napps: [{" + fields + "}]" }

func TestRunFilesThatDoNotDo(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "app"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), nil, 0o600))
	path := filepath.Join(folder, "run.yaml")
	for text, want := range map[string]string{
		"{":                                    "run file " + path + ": error converting YAML to JSON",
		"":                                     "run file " + path + `: version: it is missing; write "version: 1"`,
		"version: one":                         "run file " + path + ": version: it is one, but must be a whole number above 0, such as 1",
		"version: 0":                           "version: it is 0, but must be a whole number above 0",
		"version: 1.5":                         "version: it is 1.5, but must be a whole number above 0",
		"version: 1":                           "run file " + path + ": apps: it must be a list of one app or more",
		"version: 1\napps: {a: b}":             "apps: it must be a list of one app or more",
		"version: 1\napps: [x]":                "apps[0].appDirPath: it is missing; write the path of the app's folder",
		"version: 1\napps: [{}]":               "apps[0].appDirPath: it is missing",
		app("appDirPath: [app]"):               "apps[0].appDirPath: it is [app], but must be a text",
		app("appDirPath: none"):                "apps[0].appDirPath: there is no folder " + filepath.Join(folder, "none"),
		app("appDirPath: file"):                "apps[0].appDirPath: " + filepath.Join(folder, "file") + " is not a folder",
		app("appDirPath: ~/app"):               "apps[0].appDirPath: ~/app is below the home folder, but the environment names none",
		app("appPort: 70000"):                  "apps[0].appPort: it is 70000, but must be a port, from 1 to 65535",
		app("appPort: web"):                    "apps[0].appPort: it is web, but must be a port, from 1 to 65535",
		app("createService: 1"):                "apps[0].createService: it is 1, but must be true or false",
		app("env: [A]"):                        "apps[0].env: it is [A], but must be names with values",
		app("env: {A: [b]}"):                   "apps[0].env.A: it is [b], but must be a text",
		app("containerImagePullPolicy: Often"): "apps[0].containerImagePullPolicy: it is Often, but must be one of Always, IfNotPresent, Never",
		"version: 1\ncommon: {env: 5}\napps: [{}]":  "run file " + path + ": common.env: it is 5, but must be names with values",
		app("appDirPath: app, appID: 7"):            "apps[0].appID: it is 7, but must be a text",
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

func TestManifests(t *testing.T) {
	app := App{
		ID: "nodeapp", Dir: t.TempDir(), Port: 3000, MetricsPort: 9091, UnixDomainSocket: "/tmp/s", Env: map[string]string{"B": "2", "A": "1"},
		Image: "r/node:1", PullPolicy: "Always", CreateService: true,
	}
	objects, err := app.WriteManifests("appconfig")
	require.NoError(t, err)
	require.Len(t, objects, 2)
	files := app.Manifests()
	require.Equal(t, []string{
		filepath.Join(app.Dir, ".dapr", "deploy", "deployment.yaml"), filepath.Join(app.Dir, ".dapr", "deploy", "service.yaml"),
	}, files)
	for i, name := range []string{"deployment.yaml", "service.yaml"} {
		text, err := os.ReadFile(files[i])
		require.NoError(t, err)
		golden.Equal(t, name, string(text))
	}

	app.CreateService = false
	objects, err = app.WriteManifests("")
	require.NoError(t, err)
	require.Len(t, objects, 1)
	require.NoFileExists(t, files[1], "one of an earlier run")
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NotContains(t, string(text), "dapr.io/config")

	_, err = App{Dir: app.Dir}.WriteManifests("")
	require.EqualError(t, err, "containerImage: it is missing; write the image that the app is in")
	_, err = App{Dir: app.Dir, Image: "x", CreateService: true}.WriteManifests("")
	require.EqualError(t, err, "createService: it needs an appPort, where the app listens")
}
