package resource

import (
	"fmt"
	"time"
)

// Configuration is how a sidecar, or the control plane, is to work. Its fields
// with a fixed set of values, such as allow and deny, are in any case.
type Configuration struct {
	Header
	Spec ConfigurationSpec `json:"spec"`
}

// ConfigurationSpec is the spec of a Configuration.
type ConfigurationSpec struct {
	// HTTPPipeline is passed by calls to the sidecar, AppHTTPPipeline by the
	// sidecar's calls to its app.
	HTTPPipeline    Pipeline `json:"httpPipeline,omitzero"`
	AppHTTPPipeline Pipeline `json:"appHttpPipeline,omitzero"`
	Tracing         Tracing  `json:"tracing,omitzero"`
	// Metric and Metrics are two names of one section: read it with
	// Configuration.Metrics.
	Metric         MetricSpec     `json:"metric,omitzero"`
	Metrics        MetricSpec     `json:"metrics,omitzero"`
	MTLS           MTLS           `json:"mtls,omitzero"`
	Secrets        Secrets        `json:"secrets,omitzero"`
	AccessControl  AccessControl  `json:"accessControl,omitzero"`
	NameResolution NameResolution `json:"nameResolution,omitzero"`
	// Features are read with Configuration.FeatureEnabled.
	Features   []Feature        `json:"features,omitempty"`
	API        API              `json:"api,omitzero"`
	Components ComponentsPolicy `json:"components,omitzero"`
	Logging    Logging          `json:"logging,omitzero"`
	WASM       WASM             `json:"wasm,omitzero"`
	Workflow   Workflow         `json:"workflow,omitzero"`
}

// Pipeline is a chain of HTTP middleware components, outermost first.
type Pipeline struct {
	Handlers []Handler `json:"handlers,omitempty"`
}

// Handler names a middleware component.
type Handler struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Version  string   `json:"version,omitempty"`
	Selector Selector `json:"selector,omitzero"`
}

// Selector restricts a handler to matching requests.
type Selector struct {
	Fields []SelectorField `json:"fields,omitempty"`
}

// SelectorField is one condition of a Selector.
type SelectorField struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// Tracing says which requests are traced and where the spans go.
type Tracing struct {
	// SamplingRate is the traced share: "1" all, "0" or "" none.
	SamplingRate string `json:"samplingRate,omitempty"`
	// Stdout writes spans to the standard output.
	Stdout bool   `json:"stdout,omitempty"`
	Zipkin Zipkin `json:"zipkin,omitzero"`
	Otel   Otel   `json:"otel,omitzero"`
}

// Zipkin is a Zipkin server; no address means none.
type Zipkin struct {
	EndpointAddress string `json:"endpointAddress,omitempty"`
}

// Otel is an OpenTelemetry collector; no address means none.
type Otel struct {
	// Protocol is grpc or http.
	Protocol        string `json:"protocol,omitempty"`
	EndpointAddress string `json:"endpointAddress,omitempty"`
	// IsSecure is true unless it is set.
	IsSecure bool            `json:"isSecure"`
	Headers  []NameValuePair `json:"headers,omitempty"`
	// Timeout bounds one export; 0 leaves it to the exporter.
	Timeout Duration `json:"timeout,omitempty"`
}

// MetricSpec is how metrics are recorded; what is nil has the default.
type MetricSpec struct {
	Enabled          *bool        `json:"enabled,omitempty"`
	RecordErrorCodes *bool        `json:"recordErrorCodes,omitempty"`
	HTTP             *MetricHTTP  `json:"http,omitempty"`
	Rules            []MetricRule `json:"rules,omitempty"`
	// LatencyDistributionBuckets are in milliseconds.
	LatencyDistributionBuckets []int           `json:"latencyDistributionBuckets,omitempty"`
	Workflow                   *MetricWorkflow `json:"workflow,omitempty"`
}

// MetricHTTP is how requests are told apart in metrics.
type MetricHTTP struct {
	// IncreasedCardinality labels with the real path; nil means true.
	IncreasedCardinality *bool `json:"increasedCardinality,omitempty"`
	// PathMatching are path templates to label with.
	PathMatching []string `json:"pathMatching,omitempty"`
	// ExcludeVerbs leaves the method out.
	ExcludeVerbs bool `json:"excludeVerbs,omitempty"`
}

// MetricRule rewrites label values of one metric.
type MetricRule struct {
	Name   string        `json:"name"`
	Labels []MetricLabel `json:"labels,omitempty"`
}

// MetricLabel rewrites one label: Regex maps the new value to the pattern of old
// ones.
type MetricLabel struct {
	Name  string            `json:"name"`
	Regex map[string]string `json:"regex,omitempty"`
}

// MetricWorkflow are the buckets of workflow metrics.
type MetricWorkflow struct {
	LatencyDistributionBuckets []int  `json:"latencyDistributionBuckets,omitempty"`
	LatencyDistributionUnits   string `json:"latencyDistributionUnits,omitempty"`
}

// MTLS is how sidecars prove who they are.
type MTLS struct {
	// Enabled is true unless it is set.
	Enabled bool `json:"enabled"`
	// WorkloadCertTTL is 24 h and AllowedClockSkew 15 min unless they are set.
	WorkloadCertTTL         Duration         `json:"workloadCertTTL,omitempty"`
	AllowedClockSkew        Duration         `json:"allowedClockSkew,omitempty"`
	SentryAddress           string           `json:"sentryAddress,omitempty"`
	ControlPlaneTrustDomain string           `json:"controlPlaneTrustDomain,omitempty"`
	TokenValidators         []TokenValidator `json:"tokenValidators,omitempty"`
}

// TokenValidator is one way to check the token of a certificate request.
type TokenValidator struct {
	// Name is jwks or kubernetes.
	Name    string         `json:"name"`
	Options map[string]any `json:"options,omitempty"`
}

// Secrets restricts which secrets the app may read.
type Secrets struct {
	Scopes []SecretsScope `json:"scopes,omitempty"`
}

// SecretsScope restricts one store.
type SecretsScope struct {
	StoreName string `json:"storeName"`
	// DefaultAccess is allow or deny; empty means allow.
	DefaultAccess string `json:"defaultAccess,omitempty"`
	// AllowedSecrets, when not empty, are the only ones that may be read.
	AllowedSecrets []string `json:"allowedSecrets,omitempty"`
	DeniedSecrets  []string `json:"deniedSecrets,omitempty"`
}

// AccessControl says which apps may invoke this one.
type AccessControl struct {
	// DefaultAction is allow or deny.
	DefaultAction string `json:"defaultAction,omitempty"`
	// TrustDomain is "public" unless it is set.
	TrustDomain string         `json:"trustDomain,omitempty"`
	Policies    []AccessPolicy `json:"policies,omitempty"`
}

// AccessPolicy is about one calling app.
type AccessPolicy struct {
	AppID         string `json:"appId"`
	DefaultAction string `json:"defaultAction,omitempty"`
	// TrustDomain is "public" and Namespace "default" unless they are set.
	TrustDomain string            `json:"trustDomain,omitempty"`
	Namespace   string            `json:"namespace,omitempty"`
	Operations  []AccessOperation `json:"operations,omitempty"`
}

// AccessOperation is about one method of the called app.
type AccessOperation struct {
	// Name is the path, in which "*" is a wildcard.
	Name string `json:"name"`
	// HTTPVerbs are the HTTP methods; "*" means all.
	HTTPVerbs []string `json:"httpVerb,omitempty"`
	Action    string   `json:"action"`
}

// NameResolution is how apps are found; no component means the default of the
// environment.
type NameResolution struct {
	Component string `json:"component,omitempty"`
	Version   string `json:"version,omitempty"`
	// Configuration is the component's own.
	Configuration any `json:"configuration,omitempty"`
}

// Feature turns a feature on or off.
type Feature struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// API says which operations of the sidecar's API are served.
type API struct {
	// Allowed, when not empty, are the only ones.
	Allowed []APIRule `json:"allowed,omitempty"`
	Denied  []APIRule `json:"denied,omitempty"`
}

// APIRule names a group of operations.
type APIRule struct {
	// Name is the group, such as "state", and Version its version, such as "v1".
	Name    string `json:"name"`
	Version string `json:"version"`
	// Protocol is http or grpc; empty means both.
	Protocol string `json:"protocol,omitempty"`
}

// ComponentsPolicy says which components may not be loaded.
type ComponentsPolicy struct {
	// Deny lists "type" or "type/version".
	Deny []string `json:"deny,omitempty"`
}

// Logging is what is logged.
type Logging struct {
	APILogging APILogging `json:"apiLogging,omitzero"`
}

// APILogging is how API calls are logged; the command line overrides Enabled.
type APILogging struct {
	Enabled bool `json:"enabled,omitempty"`
	// ObfuscateURLs logs an operation's name in place of its URL.
	ObfuscateURLs    bool `json:"obfuscateURLs,omitempty"`
	OmitHealthChecks bool `json:"omitHealthChecks,omitempty"`
}

// WASM is how WebAssembly components run.
type WASM struct {
	StrictSandbox bool `json:"strictSandbox,omitempty"`
}

// Workflow limits the workflow engine; 0 means no limit. The global limits are
// those of all the app's sidecars together.
type Workflow struct {
	MaxConcurrentWorkflowInvocations       int                  `json:"maxConcurrentWorkflowInvocations,omitempty"`
	MaxConcurrentActivityInvocations       int                  `json:"maxConcurrentActivityInvocations,omitempty"`
	GlobalMaxConcurrentWorkflowInvocations int                  `json:"globalMaxConcurrentWorkflowInvocations,omitempty"`
	GlobalMaxConcurrentActivityInvocations int                  `json:"globalMaxConcurrentActivityInvocations,omitempty"`
	WorkflowConcurrencyLimits              []ConcurrencyLimit   `json:"workflowConcurrencyLimits,omitempty"`
	ActivityConcurrencyLimits              []ConcurrencyLimit   `json:"activityConcurrencyLimits,omitempty"`
	StateRetentionPolicy                   StateRetentionPolicy `json:"stateRetentionPolicy,omitzero"`
}

// ConcurrencyLimit is the limit of one workflow or activity.
type ConcurrencyLimit struct {
	Name          string `json:"name"`
	MaxConcurrent int    `json:"maxConcurrent"`
}

// StateRetentionPolicy is how long ended workflows are kept; nil means for ever.
type StateRetentionPolicy struct {
	AnyTerminal *Duration `json:"anyTerminal,omitempty"`
	Completed   *Duration `json:"completed,omitempty"`
	Failed      *Duration `json:"failed,omitempty"`
	Terminated  *Duration `json:"terminated,omitempty"`
}

// setDefaults sets what is not empty by default; decoding over it keeps what the
// document does not mention.
func (c *Configuration) setDefaults() {
	c.Spec.Tracing.Otel.IsSecure = true
	c.Spec.MTLS.Enabled = true
	c.Spec.MTLS.WorkloadCertTTL = Duration(24 * time.Hour)
	c.Spec.MTLS.AllowedClockSkew = Duration(15 * time.Minute)
	c.Spec.AccessControl.TrustDomain = "public"
}

func (c *Configuration) validate(d *decoder) {
	if len(c.Scopes) > 0 {
		d.problem("scopes", "a Configuration has no scopes: an app names the Configuration it uses")
	}
	d.oneOf("spec.tracing.otel.protocol", c.Spec.Tracing.Otel.Protocol, "grpc", "http")
	validatePairs(d, "spec.tracing.otel.headers", c.Spec.Tracing.Otel.Headers)
	c.validateSecrets(d)
	c.validateAccess(d)
	validateRules(d, "spec.api.allowed", c.Spec.API.Allowed)
	validateRules(d, "spec.api.denied", c.Spec.API.Denied)
	for i, f := range c.Spec.Features {
		d.require(fmt.Sprintf("spec.features[%d].name", i), f.Name != "")
	}
}

func validateRules(d *decoder, field string, rules []APIRule) {
	for i, rule := range rules {
		item := fmt.Sprintf("%s[%d]", field, i)
		d.require(item+".name", rule.Name != "")
		d.oneOf(item+".protocol", rule.Protocol, "http", "grpc")
	}
}

func (c *Configuration) validateSecrets(d *decoder) {
	seen := make(map[string]bool)
	for i, s := range c.Spec.Secrets.Scopes {
		item := fmt.Sprintf("spec.secrets.scopes[%d]", i)
		d.require(item+".storeName", s.StoreName != "")
		if s.StoreName != "" && seen[s.StoreName] {
			d.problem(item+".storeName", "there is a scope of the store %q already; put both into one", s.StoreName)
		}
		seen[s.StoreName] = true
		d.oneOf(item+".defaultAccess", s.DefaultAccess, "allow", "deny")
	}
}

func (c *Configuration) validateAccess(d *decoder) {
	const section = "spec.accessControl"
	d.oneOf(section+".defaultAction", c.Spec.AccessControl.DefaultAction, "allow", "deny")
	for i, p := range c.Spec.AccessControl.Policies {
		item := fmt.Sprintf("%s.policies[%d]", section, i)
		d.require(item+".appId", p.AppID != "")
		d.oneOf(item+".defaultAction", p.DefaultAction, "allow", "deny")
		for j, op := range p.Operations {
			operation := fmt.Sprintf("%s.operations[%d]", item, j)
			d.require(operation+".name", op.Name != "")
			d.oneOf(operation+".action", op.Action, "allow", "deny")
		}
	}
}
