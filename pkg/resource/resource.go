// Package resource holds the YAML kinds of the group dapr.io, reads them
// strictly from disk and resolves the references inside them.
//
// Reading never stops at the first mistake: every mistake is an *Error with its
// file, line and field, and everything without one is still returned.
package resource

import (
	"fmt"
	"slices"
)

// Group is the API group of every kind here.
const Group = "dapr.io"

// The kinds.
const (
	KindComponent            = "Component"
	KindConfiguration        = "Configuration"
	KindHTTPEndpoint         = "HTTPEndpoint"
	KindMCPServer            = "MCPServer"
	KindResiliency           = "Resiliency"
	KindSubscription         = "Subscription"
	KindWorkflowAccessPolicy = "WorkflowAccessPolicy"
)

// Resource is one YAML document of the group dapr.io: a *Component,
// *Configuration, *HTTPEndpoint, *MCPServer, *Resiliency, *Subscription or
// *WorkflowAccessPolicy.
type Resource interface {
	// Head is what all kinds share. The caller may not change it.
	Head() *Header
	// validate reports what decoding alone cannot see.
	validate(*decoder)
}

// Header is what every kind has.
type Header struct {
	// APIVersion is "dapr.io/" and the version whose form the resource has; older
	// documents are brought to the newest.
	APIVersion string `json:"apiVersion"`
	// Kind is one of those of this page.
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
	// Scopes are the ids of the apps the resource is for; empty means all.
	Scopes []string `json:"scopes,omitempty"`
	// Source is where the document stands.
	Source Source `json:"-"`
}

// Metadata names a resource.
type Metadata struct {
	// Name is what others refer to it by.
	Name string `json:"name"`
	// Namespace is the Kubernetes namespace; a file without one is visible from all.
	Namespace string `json:"namespace,omitempty"`
	// Labels mean nothing here.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations mean nothing here.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ignoredFields are set by a Kubernetes API server and mean nothing here; they
// stand in files made with kubectl get -o yaml.
func (Metadata) ignoredFields() []string {
	return []string{
		"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
		"generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
	}
}

// Source is a place in a file.
type Source struct {
	File string
	Line int
}

// String is "file:line".
func (s Source) String() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// Head implements Resource for every kind that embeds Header.
func (h *Header) Head() *Header { return h }

// Name is metadata.name.
func (h *Header) Name() string { return h.Metadata.Name }

// Namespace is metadata.namespace.
func (h *Header) Namespace() string { return h.Metadata.Namespace }

// InScope tells whether the resource is for the app.
func (h *Header) InScope(appID string) bool {
	return len(h.Scopes) == 0 || slices.Contains(h.Scopes, appID)
}

// InNamespace tells whether the resource is visible from the namespace. A
// resource without a namespace is visible from all, and an empty namespace sees
// all resources.
func (h *Header) InNamespace(namespace string) bool {
	return namespace == "" || h.Metadata.Namespace == "" || h.Metadata.Namespace == namespace
}

// Auth says which secret store the resource's secret references are in.
type Auth struct {
	// SecretStore is the name of a component of the category secretstores.
	SecretStore string `json:"secretStore,omitempty"`
}

// Select returns the resources of one kind, in order:
// Select[*Component](loaded).
func Select[T Resource](all []Resource) []T {
	var selected []T
	for _, r := range all {
		if t, ok := r.(T); ok {
			selected = append(selected, t)
		}
	}
	return selected
}

// kinds says how to make every version of every kind.
var kinds = map[string]map[string]func() Resource{
	KindComponent:            {"v1alpha1": func() Resource { return new(Component) }},
	KindConfiguration:        {"v1alpha1": func() Resource { return NewConfiguration() }},
	KindHTTPEndpoint:         {"v1alpha1": func() Resource { return new(HTTPEndpoint) }},
	KindMCPServer:            {"v1alpha1": func() Resource { return new(MCPServer) }},
	KindResiliency:           {"v1alpha1": func() Resource { return new(Resiliency) }},
	KindWorkflowAccessPolicy: {"v1alpha1": func() Resource { return new(WorkflowAccessPolicy) }},
	KindSubscription: {
		"v1alpha1": func() Resource { return new(subscriptionV1) },
		"v2alpha1": func() Resource { return new(Subscription) },
	},
}
