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
	// HTTPPipeline is passed by calls to the sidecar.
	HTTPPipeline Pipeline `json:"httpPipeline,omitzero"`
	// AppHTTPPipeline is passed by the sidecar's calls to its app.
	AppHTTPPipeline Pipeline `json:"appHttpPipeline,omitzero"`
	Tracing         Tracing  `json:"tracing,omitzero"`
	// Metric is another name of metrics, which overrides it; read both with
	// Configuration.Metrics.
	Metric MetricSpec `json:"metric,omitzero"`
	// Metrics is how metrics are recorded.
	Metrics        MetricSpec     `json:"metrics,omitzero"`
	MTLS           MTLS           `json:"mtls,omitzero"`
	Secrets        Secrets        `json:"secrets,omitzero"`
	AccessControl  AccessControl  `json:"accessControl,omitzero"`
	NameResolution NameResolution `json:"nameResolution,omitzero"`
	// Features turn features on or off; see Configuration.FeatureEnabled.
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
	// Name is the component's.
	Name string `json:"name"`
	// Type is the component's, such as "middleware.http.bearer".
	Type string `json:"type"`
	// Version is the component's; "v1" when empty.
	Version  string   `json:"version,omitempty"`
	Selector Selector `json:"selector,omitzero"`
}

// Selector restricts a handler to matching requests.
type Selector struct {
	Fields []SelectorField `json:"fields,omitempty"`
}

// SelectorField is one condition of a Selector.
type SelectorField struct {
	// Field is the header or the part of the request.
	Field string `json:"field"`
	// Value is what it must match.
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
	// EndpointAddress is the server's URL.
	EndpointAddress string `json:"endpointAddress,omitempty"`
}

// Otel is an OpenTelemetry collector; no address means none.
type Otel struct {
	// Protocol is grpc or http.
	Protocol string `json:"protocol,omitempty"`
	// EndpointAddress is the collector's, host:port.
	EndpointAddress string `json:"endpointAddress,omitempty"`
	// IsSecure says that it speaks TLS; true unless it is set.
	IsSecure bool            `json:"isSecure"`
	Headers  []NameValuePair `json:"headers,omitempty"`
	// Timeout bounds one export; 0 leaves it to the exporter.
	Timeout Duration `json:"timeout,omitempty"`
}

// MetricSpec is how metrics are recorded; what is nil has the default.
type MetricSpec struct {
	// Enabled records metrics; nil means true.
	Enabled *bool `json:"enabled,omitempty"`
	// RecordErrorCodes counts the error codes of answers; nil means false.
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
	// Name is the metric's.
	Name   string        `json:"name"`
	Labels []MetricLabel `json:"labels,omitempty"`
}

// MetricLabel rewrites one label.
type MetricLabel struct {
	// Name is the label's.
	Name string `json:"name"`
	// Regex has, for each new value, the pattern of the old ones.
	Regex map[string]string `json:"regex,omitempty"`
}

// MetricWorkflow are the buckets of workflow metrics.
type MetricWorkflow struct {
	// LatencyDistributionBuckets are the buckets' bounds.
	LatencyDistributionBuckets []int `json:"latencyDistributionBuckets,omitempty"`
	// LatencyDistributionUnits is the unit of the bounds.
	LatencyDistributionUnits string `json:"latencyDistributionUnits,omitempty"`
}

// MTLS is how sidecars prove who they are.
type MTLS struct {
	// Enabled makes sidecars prove who they are; true unless it is set.
	Enabled bool `json:"enabled"`
	// WorkloadCertTTL is how long a certificate holds; 24 h unless it is set.
	WorkloadCertTTL Duration `json:"workloadCertTTL,omitempty"`
	// AllowedClockSkew is how far clocks may differ; 15 min unless it is set.
	AllowedClockSkew Duration `json:"allowedClockSkew,omitempty"`
	// SentryAddress is where the certificate authority is, when it is not the one of
	// the installation.
	SentryAddress string `json:"sentryAddress,omitempty"`
	// ControlPlaneTrustDomain is the trust domain of the control plane.
	ControlPlaneTrustDomain string           `json:"controlPlaneTrustDomain,omitempty"`
	TokenValidators         []TokenValidator `json:"tokenValidators,omitempty"`
}

// TokenValidator is one way to check the token of a certificate request.
type TokenValidator struct {
	// Name is jwks or kubernetes.
	Name string `json:"name"`
	// Options are the validator's own.
	Options map[string]any `json:"options,omitempty"`
}

// Secrets restricts which secrets the app may read.
type Secrets struct {
	Scopes []SecretsScope `json:"scopes,omitempty"`
}

// SecretsScope restricts one store.
type SecretsScope struct {
	// StoreName is the secret store's component.
	StoreName string `json:"storeName"`
	// DefaultAccess is allow or deny; empty means allow.
	DefaultAccess string `json:"defaultAccess,omitempty"`
	// AllowedSecrets, when not empty, are the only ones that may be read.
	AllowedSecrets []string `json:"allowedSecrets,omitempty"`
	// DeniedSecrets may not be read.
	DeniedSecrets []string `json:"deniedSecrets,omitempty"`
}

// AccessControl says which apps may invoke this one.
type AccessControl struct {
	// DefaultAction is allow or deny.
	DefaultAction string `json:"defaultAction,omitempty"`
	// TrustDomain is that of the called app; "public" unless it is set.
	TrustDomain string         `json:"trustDomain,omitempty"`
	Policies    []AccessPolicy `json:"policies,omitempty"`
}

// AccessPolicy is about one calling app.
type AccessPolicy struct {
	// AppID is the calling app.
	AppID string `json:"appId"`
	// DefaultAction is for calls that no operation is about: allow or deny; that of
	// accessControl when empty.
	DefaultAction string `json:"defaultAction,omitempty"`
	// TrustDomain is the calling app's; "public" unless it is set.
	TrustDomain string `json:"trustDomain,omitempty"`
	// Namespace is the calling app's; "default" unless it is set.
	Namespace  string            `json:"namespace,omitempty"`
	Operations []AccessOperation `json:"operations,omitempty"`
}

// AccessOperation is about one method of the called app.
type AccessOperation struct {
	// Name is the path, in which "*" is a wildcard.
	Name string `json:"name"`
	// HTTPVerbs are the HTTP methods; "*" means all.
	HTTPVerbs []string `json:"httpVerb,omitempty"`
	// Action is allow or deny.
	Action string `json:"action"`
}

// NameResolution is how apps are found; no component means the default of the
// environment.
type NameResolution struct {
	// Component is the way to find apps, such as mdns.
	Component string `json:"component,omitempty"`
	// Version is the component's; "v1" when empty.
	Version string `json:"version,omitempty"`
	// Configuration is the component's own.
	Configuration any `json:"configuration,omitempty"`
}

// Feature turns a feature on or off.
type Feature struct {
	// Name is the feature, such as HotReload.
	Name string `json:"name"`
	// Enabled turns it on or off.
	Enabled bool `json:"enabled"`
}

// API says which operations of the sidecar's API are served.
type API struct {
	// Allowed, when not empty, are the only ones.
	Allowed []APIRule `json:"allowed,omitempty"`
	Denied  []APIRule `json:"denied,omitempty"`
}

// APIRule names a group of operations.
type APIRule struct {
	// Name is the group, such as "state".
	Name string `json:"name"`
	// Version is the group's, such as "v1".
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

// APILogging is how API calls are logged; --enable-api-logging overrides it.
type APILogging struct {
	// Enabled logs every call.
	Enabled bool `json:"enabled,omitempty"`
	// ObfuscateURLs logs an operation's name in place of its URL.
	ObfuscateURLs bool `json:"obfuscateURLs,omitempty"`
	// OmitHealthChecks leaves out calls of the health endpoints.
	OmitHealthChecks bool `json:"omitHealthChecks,omitempty"`
}

// WASM is how WebAssembly components run.
type WASM struct {
	// StrictSandbox takes away the clock and random numbers.
	StrictSandbox bool `json:"strictSandbox,omitempty"`
}

// Workflow limits the workflow engine; 0 means no limit. The global limits are
// those of all the app's sidecars together.
type Workflow struct {
	// MaxConcurrentWorkflowInvocations limits workflows of one sidecar.
	MaxConcurrentWorkflowInvocations int `json:"maxConcurrentWorkflowInvocations,omitempty"`
	// MaxConcurrentActivityInvocations limits activities of one sidecar.
	MaxConcurrentActivityInvocations int `json:"maxConcurrentActivityInvocations,omitempty"`
	// GlobalMaxConcurrentWorkflowInvocations limits workflows of all sidecars
	// together.
	GlobalMaxConcurrentWorkflowInvocations int `json:"globalMaxConcurrentWorkflowInvocations,omitempty"`
	// GlobalMaxConcurrentActivityInvocations limits activities of all sidecars
	// together.
	GlobalMaxConcurrentActivityInvocations int                  `json:"globalMaxConcurrentActivityInvocations,omitempty"`
	WorkflowConcurrencyLimits              []ConcurrencyLimit   `json:"workflowConcurrencyLimits,omitempty"`
	ActivityConcurrencyLimits              []ConcurrencyLimit   `json:"activityConcurrencyLimits,omitempty"`
	StateRetentionPolicy                   StateRetentionPolicy `json:"stateRetentionPolicy,omitzero"`
}

// ConcurrencyLimit is the limit of one workflow or activity.
type ConcurrencyLimit struct {
	// Name is that of the workflow or activity.
	Name string `json:"name"`
	// MaxConcurrent is how many run at one time.
	MaxConcurrent int `json:"maxConcurrent"`
}

// StateRetentionPolicy is how long ended workflows are kept: for ever, where
// nothing is set.
type StateRetentionPolicy struct {
	// AnyTerminal is for those that none of the others is about.
	AnyTerminal *Duration `json:"anyTerminal,omitempty"`
	// Completed is for those that ended well.
	Completed *Duration `json:"completed,omitempty"`
	// Failed is for those that failed.
	Failed *Duration `json:"failed,omitempty"`
	// Terminated is for those that were ended from outside.
	Terminated *Duration `json:"terminated,omitempty"`
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
