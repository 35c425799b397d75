package resource

// MCPServer declares a server of the Model Context Protocol. Its spec is kept as
// it is written.
type MCPServer struct {
	Header
	// Spec is the server's declaration.
	Spec map[string]any `json:"spec"`
}

func (s *MCPServer) validate(d *decoder) { d.require("spec", len(s.Spec) > 0) }

// WorkflowAccessPolicy says who may use which workflows of an app. Its spec is
// kept as it is written.
type WorkflowAccessPolicy struct {
	Header
	// Spec is the rules.
	Spec map[string]any `json:"spec"`
}

func (p *WorkflowAccessPolicy) validate(d *decoder) { d.require("spec", len(p.Spec) > 0) }
