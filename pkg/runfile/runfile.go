// Package runfile reads the file that names several apps and where each of them
// lives.
package runfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Name is what a run file is called in the folder that is given for it.
const Name = "dapr.yaml"

// App is one app of a run file.
type App struct {
	ID string
	// Dir is the absolute path of the app's folder.
	Dir string
}

// Manifests are the files below the app's folder that say what of it runs in
// Kubernetes. They need not be there.
func (a App) Manifests() []string {
	folder := filepath.Join(a.Dir, ".dapr", "deploy")
	return []string{filepath.Join(folder, "deployment.yaml"), filepath.Join(folder, "service.yaml")}
}

// Read returns the apps of a run file: of the file, of dapr.yaml in the folder,
// or with "-" of what stdin holds. Relative folders of apps are below that of the
// file, and "~/" is home. Errors name the file and the field.
func Read(path, home string, stdin io.Reader) ([]App, error) {
	source, folder, text, err := open(path, stdin)
	if err != nil {
		return nil, err
	}
	var file struct {
		Version any `json:"version"`
		Apps    any `json:"apps"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("run file %s: %w", source, err)
	}
	if err := checkVersion(file.Version); err != nil {
		return nil, fmt.Errorf("run file %s: %w", source, err)
	}
	list, _ := file.Apps.([]any)
	if len(list) == 0 {
		return nil, fmt.Errorf("run file %s: apps: it must be a list of one app or more", source)
	}
	var apps []App
	for i, item := range list {
		app, err := read(item, folder, home)
		if err == nil && slices.ContainsFunc(apps, func(other App) bool { return other.ID == app.ID }) {
			err = fmt.Errorf("appID: %q is another app's id already", app.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("run file %s: apps[%d].%w", source, i, err)
		}
		apps = append(apps, app)
	}
	return apps, nil
}

// open returns what a run file holds, its name for people, and the folder that
// the paths in it begin in.
func open(path string, stdin io.Reader) (source, folder string, text []byte, err error) {
	if path == "-" {
		if folder, err = filepath.Abs("."); err == nil {
			text, err = io.ReadAll(stdin)
		}
		return "from standard input", folder, text, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", nil, fmt.Errorf("there is no run file %s: give a file, a folder with a %s, or - for standard input", path, Name)
	case err != nil:
		return "", "", nil, err
	case info.IsDir():
		path = filepath.Join(path, Name)
	case !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
		return "", "", nil, fmt.Errorf("run file %s: its name must end in .yaml or .yml", path)
	}
	if folder, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return "", "", nil, err
	}
	text, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no %s in the folder %s", Name, filepath.Dir(path))
	}
	return path, folder, text, err
}

func checkVersion(version any) error {
	switch v, isNumber := version.(float64); {
	case version == nil:
		return errors.New("version: it is missing; write \"version: 1\"")
	case !isNumber || v < 1 || v != float64(int(v)):
		return fmt.Errorf("version: it is %v, but must be a whole number above 0, such as 1", version)
	}
	return nil
}

// read reads an app. Its error begins with the name of a field.
func read(item any, folder, home string) (App, error) {
	fields, _ := item.(map[string]any)
	dir, err := text(fields, "appDirPath")
	if err != nil {
		return App{}, err
	}
	if dir == "" {
		return App{}, errors.New("appDirPath: it is missing; write the path of the app's folder")
	}
	app := App{Dir: dir}
	if rest, below := strings.CutPrefix(filepath.ToSlash(dir), "~/"); below {
		app.Dir = filepath.Join(home, rest)
	} else if !filepath.IsAbs(dir) {
		app.Dir = filepath.Join(folder, dir)
	}
	switch info, err := os.Stat(app.Dir); {
	case errors.Is(err, fs.ErrNotExist):
		return App{}, fmt.Errorf("appDirPath: there is no folder %s", app.Dir)
	case err != nil:
		return App{}, fmt.Errorf("appDirPath: %w", err)
	case !info.IsDir():
		return App{}, fmt.Errorf("appDirPath: %s is not a folder", app.Dir)
	}
	if app.ID, err = text(fields, "appID"); err != nil {
		return App{}, err
	}
	if app.ID == "" {
		app.ID = filepath.Base(app.Dir)
	}
	return app, nil
}

func text(fields map[string]any, name string) (string, error) {
	value, isText := fields[name].(string)
	if fields[name] != nil && !isText {
		return "", fmt.Errorf("%s: it is %v, but must be a text", name, fields[name])
	}
	return value, nil
}
