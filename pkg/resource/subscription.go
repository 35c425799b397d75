package resource

// Subscription declares that an app receives a topic. Documents of v1alpha1 are
// read into the same type.
type Subscription struct {
	Header
	Spec SubscriptionSpec `json:"spec"`
}

// SubscriptionSpec is the spec of a Subscription.
type SubscriptionSpec struct {
	// PubsubName is the component.
	PubsubName string `json:"pubsubname"`
	// Topic is what the app receives.
	Topic  string `json:"topic"`
	Routes Routes `json:"routes"`
	// Metadata goes to the component.
	Metadata map[string]string `json:"metadata,omitempty"`
	// DeadLetterTopic is where messages go that the app does not take.
	DeadLetterTopic string        `json:"deadLetterTopic,omitempty"`
	BulkSubscribe   BulkSubscribe `json:"bulkSubscribe,omitzero"`
}

// Routes say which path of the app a message goes to: that of the first rule
// that matches, else the default.
type Routes struct {
	Rules []Rule `json:"rules,omitempty"`
	// Default is the path for what no rule matches.
	Default string `json:"default,omitempty"`
}

// Rule is a CEL expression over the message and a path.
type Rule struct {
	// Match is the expression.
	Match string `json:"match"`
	// Path is where a message that matches goes.
	Path string `json:"path"`
}

// BulkSubscribe delivers several messages at once; 0 leaves a limit to the
// driver.
type BulkSubscribe struct {
	// Enabled turns it on.
	Enabled bool `json:"enabled"`
	// MaxMessagesCount is how many at most.
	MaxMessagesCount int `json:"maxMessagesCount,omitempty"`
	// MaxAwaitDurationMs is how long to wait for more, in milliseconds.
	MaxAwaitDurationMs int `json:"maxAwaitDurationMs,omitempty"`
}

func (s *Subscription) validate(d *decoder) {
	d.require("spec.pubsubname", s.Spec.PubsubName != "")
	d.require("spec.topic", s.Spec.Topic != "")
}

// subscriptionV1 is the older form, with one route.
type subscriptionV1 struct {
	Header
	Spec struct {
		PubsubName      string            `json:"pubsubname"`
		Topic           string            `json:"topic"`
		Route           string            `json:"route"`
		Metadata        map[string]string `json:"metadata"`
		DeadLetterTopic string            `json:"deadLetterTopic"`
		BulkSubscribe   BulkSubscribe     `json:"bulkSubscribe"`
	} `json:"spec"`
}

func (s *subscriptionV1) validate(d *decoder) { s.current().validate(d) }

// current is the subscription in today's form.
func (s *subscriptionV1) current() *Subscription {
	header := s.Header
	header.APIVersion = Group + "/v2alpha1"
	return &Subscription{Header: header, Spec: SubscriptionSpec{
		PubsubName:      s.Spec.PubsubName,
		Topic:           s.Spec.Topic,
		Routes:          Routes{Default: s.Spec.Route},
		Metadata:        s.Spec.Metadata,
		DeadLetterTopic: s.Spec.DeadLetterTopic,
		BulkSubscribe:   s.Spec.BulkSubscribe,
	}}
}
