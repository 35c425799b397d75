package helm

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// Chart is a chart as it stands in a folder, with its sub-charts.
type Chart struct {
	files   []*archive.BufferedFile
	version string
	// defaults are the values of the chart and, below their names, of its
	// sub-charts.
	defaults Values
	schema   schema
}

// Load reads a chart, and gives it and its sub-charts a version.
func Load(files fs.FS, version string) (*Chart, error) {
	c := &Chart{version: version}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		c.files = append(c.files, &archive.BufferedFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read chart: %w", err)
	}
	parsed, err := c.parse()
	if err != nil {
		return nil, err
	}
	if c.schema, err = compile(parsed.Schema); err != nil {
		return nil, fmt.Errorf("read chart: schema of its values: %w", err)
	}
	defaults, err := util.CoalesceValues(parsed, nil)
	if err != nil {
		return nil, fmt.Errorf("read chart: values: %w", err)
	}
	c.defaults = Values(defaults)
	return c, nil
}

// parse returns a chart of its own to every caller: Helm takes out of it the
// sub-charts that the values of one call switch off.
func (c *Chart) parse() (*chart.Chart, error) {
	parsed, err := loader.LoadFiles(c.files)
	if err != nil {
		return nil, fmt.Errorf("read chart: %w", err)
	}
	stamp(parsed, c.version)
	return parsed, nil
}

func stamp(c *chart.Chart, version string) {
	c.Metadata.Version, c.Metadata.AppVersion = chartVersion(version), version
	for _, d := range c.Metadata.Dependencies {
		d.Version = c.Metadata.Version
	}
	for _, sub := range c.Dependencies() {
		stamp(sub, version)
	}
}

// chartVersion is a version in the form that charts must have.
func chartVersion(version string) string {
	if version == "" || version[0] < '0' || version[0] > '9' {
		return "0.0.0-" + version
	}
	return version
}

// Version is that of the chart and of what it installs.
func (c *Chart) Version() string { return c.version }

// Defaults are the chart's own values, with those of sub-charts below their
// names.
func (c *Chart) Defaults() Values { return c.defaults.Clone() }

// Target is what a chart is rendered for.
type Target struct {
	// Release and Namespace are the names the templates see.
	Release, Namespace string
	// KubeVersion is the cluster's, such as "v1.33.0"; empty means a recent one.
	KubeVersion string
}

// recentKubernetes stands for a cluster that is not there.
const recentKubernetes = "v1.33.0"

// Template renders the chart without a cluster, as its installation would.
func (c *Chart) Template(ctx context.Context, t Target, given Values) (*Release, error) {
	parsed, err := c.checked(given)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	install.SkipSchemaValidation = true
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName = t.Release
	install.Namespace = t.Namespace
	version, err := common.ParseKubeVersion(cmp.Or(t.KubeVersion, recentKubernetes))
	if err != nil {
		return nil, fmt.Errorf("version of the cluster: %w", err)
	}
	install.KubeVersion = version
	rendered, err := install.RunWithContext(ctx, parsed, given.copy())
	if err != nil {
		return nil, fmt.Errorf("render chart: %w", plain(err))
	}
	return newRelease(rendered)
}

// checked is the chart, once the values are found to be right for it.
func (c *Chart) checked(given Values) (*chart.Chart, error) {
	parsed, err := c.parse()
	if err != nil {
		return nil, err
	}
	all, err := util.CoalesceValues(parsed, given.copy())
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return parsed, c.validate(Values(all))
}

// checksFile is the template that refuses values.
const checksFile = "checks.yaml"

// plain leaves of a template's error what its author wrote, where it was the
// template that refused.
func plain(err error) error {
	if _, said, refused := strings.Cut(err.Error(), "/"+checksFile); refused && strings.Contains(err.Error(), "execution error at") {
		_, said, _ = strings.Cut(said, "): ")
		return &ValuesError{Problems: []string{said}}
	}
	return err
}
