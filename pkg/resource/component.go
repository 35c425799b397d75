package resource

import (
	"fmt"
	"slices"
	"strings"
)

// Component declares an instance of a driver.
type Component struct {
	Header
	Spec ComponentSpec `json:"spec"`
	Auth Auth          `json:"auth,omitzero"`
}

// ComponentSpec is the spec of a Component.
type ComponentSpec struct {
	// Type is "category.driver", such as "state.redis".
	Type string `json:"type"`
	// Version is the driver's; "v1" when empty.
	Version string `json:"version,omitempty"`
	// IgnoreErrors makes a failing start of the component a warning.
	IgnoreErrors bool `json:"ignoreErrors,omitempty"`
	// InitTimeout bounds one attempt to start it; 0 means the default of 5 s.
	InitTimeout Duration `json:"initTimeout,omitempty"`
	// Metadata are the driver's settings.
	Metadata []NameValuePair `json:"metadata,omitempty"`
}

// Categories are the first parts of component types.
func Categories() []string {
	return []string{
		"bindings", "configuration", "conversation", "crypto", "lock", "middleware.http", "nameresolution",
		"pubsub", "secretstores", "state", "workflow",
	}
}

func (c *Component) validate(d *decoder) {
	d.require("spec.type", c.Spec.Type != "")
	if c.Spec.Type != "" {
		c.validateType(d)
	}
	if _, set := d.lines["spec.initTimeout"]; set && c.Spec.InitTimeout <= 0 {
		d.problem("spec.initTimeout", `want more than 0, such as "5s"`)
	}
	validatePairs(d, "spec.metadata", c.Spec.Metadata)
	for i, p := range c.Spec.Metadata {
		same := func(q NameValuePair) bool { return q.Name == p.Name }
		if first := slices.IndexFunc(c.Spec.Metadata, same); p.Name != "" && first < i {
			d.problem(fmt.Sprintf("spec.metadata[%d].name", i), "%q is there already, at line %d", p.Name,
				d.lineOf(fmt.Sprintf("spec.metadata[%d].name", first)))
		}
	}
}

func (c *Component) validateType(d *decoder) {
	for _, category := range Categories() {
		if driver, ok := strings.CutPrefix(c.Spec.Type, category+"."); ok && driver != "" {
			return
		}
	}
	category, driver, ok := strings.Cut(c.Spec.Type, ".")
	if !ok || category == "" || driver == "" {
		d.problem("spec.type", `%q is not "category.driver", such as "state.redis"`, c.Spec.Type)
		return
	}
	hint := didYouMean(category, Categories())
	if hint == "" {
		hint = "; known are " + strings.Join(Categories(), ", ")
	}
	d.problem("spec.type", "unknown category %q%s", category, hint)
}

// SecretStore is the store that the component's secret references are in, and
// that must be open before Resolve; empty when it has no such reference.
// fallback is the store of components that name none.
func (c *Component) SecretStore(fallback string) string {
	if !slices.ContainsFunc(c.Spec.Metadata, NameValuePair.needsSecret) {
		return ""
	}
	return c.Auth.storeOr(fallback)
}

func (a Auth) storeOr(fallback string) string {
	if a.SecretStore != "" {
		return a.SecretStore
	}
	return fallback
}
