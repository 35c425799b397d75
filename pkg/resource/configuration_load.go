package resource

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Features that are on unless the Configuration turns them off.
var defaultFeatures = []string{"HotReload", "WorkflowsRemoteActivityReminder"}

// NewConfiguration returns the Configuration of a sidecar that was given none.
func NewConfiguration() *Configuration {
	c := new(Configuration)
	c.setDefaults()
	return c
}

// LoadConfiguration reads the Configuration documents of the files and merges
// them in order: a later document overrides the fields that it sets, and lists
// as a whole. With no file it is that of NewConfiguration. The error joins an
// *Error for each mistake; there is no Configuration then.
func LoadConfiguration(files ...string) (*Configuration, error) {
	merged := NewConfiguration()
	var errs []error
	for _, file := range files {
		if err := merged.load(file); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	merged.fillPolicies()
	return merged, nil
}

// ParseConfiguration is LoadConfiguration of one document that is already read;
// name is what errors call it.
func ParseConfiguration(name string, data []byte) (*Configuration, error) {
	c := NewConfiguration()
	if err := c.merge(name, data); err != nil {
		return nil, err
	}
	c.fillPolicies()
	return c, nil
}

// load merges one file's documents into c.
func (c *Configuration) load(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return c.merge(file, data)
}

func (c *Configuration) merge(file string, data []byte) error {
	var errs []error
	found := false
	for _, doc := range parse(file, data) {
		if _, ok := doc.resource.(*Configuration); !ok && doc.resource != nil {
			continue
		}
		found = true
		if len(doc.errs) == 0 {
			// It was decoded once, alone, to find its mistakes; now it is decoded
			// over what the earlier documents set.
			doc.errs = decode(file, doc.node, c)
		}
		for _, err := range doc.errs {
			errs = append(errs, err)
		}
	}
	if !found {
		return &Error{File: file, Message: "there is no Configuration in it (apiVersion: dapr.io/v1alpha1, kind: Configuration)"}
	}
	return errors.Join(errs...)
}

// fillPolicies sets the defaults of access policies, once all of them are known.
func (c *Configuration) fillPolicies() {
	for i := range c.Spec.AccessControl.Policies {
		p := &c.Spec.AccessControl.Policies[i]
		if p.TrustDomain == "" {
			p.TrustDomain = "public"
		}
		if p.Namespace == "" {
			p.Namespace = "default"
		}
	}
}

// FeatureEnabled tells whether a feature is on.
func (c *Configuration) FeatureEnabled(name string) bool {
	for _, f := range c.Spec.Features {
		if f.Name == name {
			return f.Enabled
		}
	}
	return slices.Contains(defaultFeatures, name)
}

// EnabledFeatures are the names of the features that are on, sorted.
func (c *Configuration) EnabledFeatures() []string {
	names := slices.Clone(defaultFeatures)
	for _, f := range c.Spec.Features {
		names = append(names, f.Name)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !c.FeatureEnabled(n) })
	slices.Sort(names)
	return slices.Compact(names)
}

// Denies tells whether components of the type and version may not be
// loaded. An empty version means v1.
func (c *Configuration) Denies(typ, version string) bool {
	if version == "" {
		version = defaultVersion
	}
	return slices.ContainsFunc(c.Spec.Components.Deny, func(denied string) bool {
		return strings.EqualFold(denied, typ) || strings.EqualFold(denied, typ+"/"+version)
	})
}

// Metrics is the metrics section with its defaults; the section "metrics"
// overrides "metric".
func (c *Configuration) Metrics() MetricSpec {
	m := MetricSpec{Enabled: new(true), RecordErrorCodes: new(false), HTTP: &MetricHTTP{}}
	for _, s := range []MetricSpec{c.Spec.Metric, c.Spec.Metrics} {
		if s.Enabled != nil {
			m.Enabled = s.Enabled
		}
		if s.RecordErrorCodes != nil {
			m.RecordErrorCodes = s.RecordErrorCodes
		}
		if s.HTTP != nil {
			*m.HTTP = *s.HTTP
		}
		if len(s.Rules) > 0 {
			m.Rules = s.Rules
		}
		if len(s.LatencyDistributionBuckets) > 0 {
			m.LatencyDistributionBuckets = s.LatencyDistributionBuckets
		}
		if s.Workflow != nil {
			m.Workflow = s.Workflow
		}
	}
	if m.HTTP.IncreasedCardinality == nil {
		m.HTTP.IncreasedCardinality = new(true)
	}
	return m
}

// MetricsEnabled tells whether metrics are recorded.
func (c *Configuration) MetricsEnabled() bool { return *c.Metrics().Enabled }
