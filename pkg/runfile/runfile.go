// Package runfile reads the file that names several apps, and writes what each of
// them is in Kubernetes.
package runfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	// Env is the app's environment: its own, over the one all apps share.
	Env map[string]string
	// Port is the app's, and MetricsPort its sidecar's; 0 when they are not given.
	Port, MetricsPort int
	// UnixDomainSocket is a folder; empty for TCP.
	UnixDomainSocket string

	// Image is the app's in Kubernetes, pulled as PullPolicy says. CreateService
	// makes the app reachable from outside of the cluster.
	Image, PullPolicy string
	CreateService     bool
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
		Version any            `json:"version"`
		Common  map[string]any `json:"common"`
		Apps    any            `json:"apps"`
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
	common, err := environment(file.Common)
	if err != nil {
		return nil, fmt.Errorf("run file %s: common.%w", source, err)
	}
	var apps []App
	for i, item := range list {
		app, err := read(item, common, folder, home)
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
func read(item any, common map[string]string, folder, home string) (App, error) {
	fields, _ := item.(map[string]any)
	var app App
	own, err := environment(fields)
	if err != nil {
		return App{}, err
	}
	app.Env = maps.Clone(common)
	maps.Copy(app.Env, own)
	if err := errors.Join(
		field(fields, "appID", &app.ID),
		field(fields, "appDirPath", &app.Dir),
		field(fields, "unixDomainSocket", &app.UnixDomainSocket),
		field(fields, "containerImage", &app.Image),
		field(fields, "containerImagePullPolicy", &app.PullPolicy),
		field(fields, "createService", &app.CreateService),
		port(fields, "appPort", &app.Port),
		port(fields, "metricsPort", &app.MetricsPort),
	); err != nil {
		return App{}, err
	}
	if app.PullPolicy == "" {
		app.PullPolicy = "Always"
	}
	if policies := []string{"Always", "IfNotPresent", "Never"}; !slices.Contains(policies, app.PullPolicy) {
		return App{}, fmt.Errorf("containerImagePullPolicy: it is %s, but must be one of %s", app.PullPolicy, strings.Join(policies, ", "))
	}
	if app.Dir, err = appDir(app.Dir, folder, home); err != nil {
		return App{}, fmt.Errorf("appDirPath: %w", err)
	}
	if app.ID == "" {
		app.ID = filepath.Base(app.Dir)
	}
	return app, nil
}

// appDir finds the folder of an app.
func appDir(given, folder, home string) (string, error) {
	dir := given
	switch rest, below := strings.CutPrefix(filepath.ToSlash(given), "~/"); {
	case given == "":
		return "", errors.New("it is missing; write the path of the app's folder")
	case below && home == "":
		return "", fmt.Errorf("%s is below the home folder, but the environment names none", given)
	case below:
		dir = filepath.Join(home, rest)
	case !filepath.IsAbs(given):
		dir = filepath.Join(folder, given)
	}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no folder %s", dir)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", dir)
	}
	return dir, nil
}

// field reads a field that may be missing.
func field(fields map[string]any, name string, to any) error {
	value := fields[name]
	if value == nil {
		return nil
	}
	var fits bool
	kind := "a text"
	switch to := to.(type) {
	case *string:
		*to, fits = value.(string)
	case *bool:
		kind = "true or false"
		*to, fits = value.(bool)
	}
	if !fits {
		return fmt.Errorf("%s: it is %v, but must be %s", name, value, kind)
	}
	return nil
}

// port reads a port that may be missing, or be -1 or 0 for none.
func port(fields map[string]any, name string, to *int) error {
	value, isNumber := fields[name].(float64)
	switch {
	case fields[name] == nil, value == -1:
		return nil
	case !isNumber, value != math.Trunc(value), value < 0, value > math.MaxUint16:
		return fmt.Errorf("%s: it is %v, but must be a port, from 1 to 65535", name, fields[name])
	}
	*to = int(value)
	return nil
}

// environment reads the field env, whose values may be numbers and the like.
func environment(fields map[string]any) (map[string]string, error) {
	all := make(map[string]string)
	given, isMap := fields["env"].(map[string]any)
	if fields["env"] != nil && !isMap {
		return nil, fmt.Errorf("env: it is %v, but must be names with values", fields["env"])
	}
	for name, value := range given {
		switch v := value.(type) {
		case string:
			all[name] = v
		case float64:
			all[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case bool:
			all[name] = strconv.FormatBool(v)
		default:
			return nil, fmt.Errorf("env.%s: it is %v, but must be a text", name, value)
		}
	}
	return all, nil
}
