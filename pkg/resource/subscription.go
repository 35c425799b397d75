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
	PubsubName      string            `json:"pubsubname"`
	Topic           string            `json:"topic"`
	Routes          Routes            `json:"routes"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	DeadLetterTopic string            `json:"deadLetterTopic,omitempty"`
	BulkSubscribe   BulkSubscribe     `json:"bulkSubscribe,omitzero"`
}

// Routes say which path of the app a message goes to: that of the first rule
// that matches, else the default.
type Routes struct {
	Rules   []Rule `json:"rules,omitempty"`
	Default string `json:"default,omitempty"`
}

// Rule is a CEL expression over the message and a path.
type Rule struct {
	Match string `json:"match"`
	Path  string `json:"path"`
}

// BulkSubscribe delivers several messages at once; 0 leaves a limit to the
// driver.
type BulkSubscribe struct {
	Enabled            bool `json:"enabled"`
	MaxMessagesCount   int  `json:"maxMessagesCount,omitempty"`
	MaxAwaitDurationMs int  `json:"maxAwaitDurationMs,omitempty"`
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
