package resource

// Resiliency declares policies and what they apply to.
type Resiliency struct {
	Header
	Spec ResiliencySpec `json:"spec"`
}

// ResiliencySpec is the spec of a Resiliency.
type ResiliencySpec struct {
	Policies Policies `json:"policies,omitzero"`
	Targets  Targets  `json:"targets,omitzero"`
}

// Policies are timeouts, retries and circuit breakers by name.
type Policies struct {
	// Timeouts bound one attempt.
	Timeouts        map[string]Duration       `json:"timeouts,omitempty"`
	Retries         map[string]Retry          `json:"retries,omitempty"`
	CircuitBreakers map[string]CircuitBreaker `json:"circuitBreakers,omitempty"`
}

// Retry says how often and after which pauses to try again.
type Retry struct {
	// Policy is constant or exponential.
	Policy string `json:"policy"`
	// Duration is the pause of constant; nil means 5 s.
	Duration *Duration `json:"duration,omitempty"`
	// MaxInterval bounds the pauses of exponential; nil means 60 s.
	MaxInterval *Duration `json:"maxInterval,omitempty"`
	// MaxRetries is how often; -1 is without a limit; nil means -1.
	MaxRetries *int          `json:"maxRetries,omitempty"`
	Matching   RetryMatching `json:"matching,omitzero"`
}

// RetryMatching restricts retries to some status codes, written as
// "500-599,429"; empty means all.
type RetryMatching struct {
	// HTTPStatusCodes are those that are tried again.
	HTTPStatusCodes string `json:"httpStatusCodes,omitempty"`
	// GRPCStatusCodes are those that are tried again.
	GRPCStatusCodes string `json:"gRPCStatusCodes,omitempty"`
}

// CircuitBreaker says when to stop trying at all.
type CircuitBreaker struct {
	// MaxRequests pass while the breaker is half open; 0 means 1.
	MaxRequests int `json:"maxRequests,omitempty"`
	// Interval is after how long counts are cleared; 0 means never.
	Interval Duration `json:"interval,omitempty"`
	// Timeout is after how long an open breaker becomes half open; nil means 60 s.
	Timeout *Duration `json:"timeout,omitempty"`
	// Trip is a CEL expression over the counts; empty means
	// "consecutiveFailures > 5".
	Trip string `json:"trip,omitempty"`
}

// Targets are what policies apply to, by name: app ids and HTTP endpoints, actor
// types, components.
type Targets struct {
	Apps       map[string]AppTarget       `json:"apps,omitempty"`
	Actors     map[string]ActorTarget     `json:"actors,omitempty"`
	Components map[string]ComponentTarget `json:"components,omitempty"`
}

// PolicyNames names one policy of each sort; empty means none.
type PolicyNames struct {
	// Timeout is the name of a time-out.
	Timeout string `json:"timeout,omitempty"`
	// Retry is the name of a retry policy.
	Retry string `json:"retry,omitempty"`
	// CircuitBreaker is the name of a circuit breaker.
	CircuitBreaker string `json:"circuitBreaker,omitempty"`
}

// AppTarget is how calls to an app are guarded.
type AppTarget struct {
	PolicyNames
	// CircuitBreakerCacheSize is how many instances of the app have a breaker of
	// their own; 0 means 100.
	CircuitBreakerCacheSize int `json:"circuitBreakerCacheSize,omitempty"`
}

// ActorTarget is how calls to an actor are guarded.
type ActorTarget struct {
	PolicyNames
	// CircuitBreakerScope is type, id or both.
	CircuitBreakerScope string `json:"circuitBreakerScope,omitempty"`
	// CircuitBreakerCacheSize is how many actor ids have a breaker of their own;
	// 0 means 5000.
	CircuitBreakerCacheSize int `json:"circuitBreakerCacheSize,omitempty"`
}

// ComponentTarget is how calls to a component, and from it to the app, are
// guarded.
type ComponentTarget struct {
	Inbound  PolicyNames `json:"inbound,omitzero"`
	Outbound PolicyNames `json:"outbound,omitzero"`
}

func (r *Resiliency) validate(d *decoder) {
	for name, retry := range r.Spec.Policies.Retries {
		d.oneOf("spec.policies.retries."+name+".policy", retry.Policy, "constant", "exponential")
	}
	for name, actor := range r.Spec.Targets.Actors {
		d.oneOf("spec.targets.actors."+name+".circuitBreakerScope", actor.CircuitBreakerScope, "type", "id", "both")
	}
}
