package security

import (
	"fmt"
	"path"
	"strings"
)

// AccessRules say which apps may call this one. The zero value lets everybody.
type AccessRules struct {
	// DefaultAction is "allow" or "deny". When it is empty, everybody may call
	// while there are no rules for an app, and nobody else when there are.
	DefaultAction string
	Apps          []AppRules
}

// AppRules are about one calling app.
type AppRules struct {
	// TrustDomain is DefaultTrustDomain and Namespace "default" when empty.
	TrustDomain, Namespace, AppID string
	// DefaultAction is for calls that no operation is about; that of AccessRules
	// when empty.
	DefaultAction string
	Operations    []OperationRule
}

// OperationRule is about some methods of the called app.
type OperationRule struct {
	// Name is a path or the name of a gRPC method. In it, "*" is any one segment
	// and "**" any one or more; "*" at the end is that, too.
	Name string
	// Verbs are HTTP verbs; "*", or none, is any.
	Verbs []string
	// Action is "allow", as when it is empty, or "deny".
	Action string
}

// Decision is what a Policy says about a call.
type Decision struct {
	Allowed bool
	// ByApp tells that the rules of the calling app decided, not the default for
	// everybody.
	ByApp bool
	// Reason says why, for the one who is refused and for the log.
	Reason string
}

// Policy is AccessRules made ready for use. It is safe for concurrent use.
type Policy struct {
	byDefault bool
	apps      map[ID]appPolicy
}

type appPolicy struct {
	byDefault bool
	paths     *pathNode
}

// NewPolicy makes the rules ready. An error names the rule.
func NewPolicy(r AccessRules) (*Policy, error) {
	byDefault, err := action("defaultAction", r.DefaultAction, len(r.Apps) == 0)
	if err != nil {
		return nil, err
	}
	p := &Policy{byDefault: byDefault, apps: make(map[ID]appPolicy)}
	for i, app := range r.Apps {
		id := ID{TrustDomain: app.TrustDomain, Namespace: app.Namespace, AppID: app.AppID}
		if id.TrustDomain == "" {
			id.TrustDomain = DefaultTrustDomain
		}
		if id.Namespace == "" {
			id.Namespace = "default"
		}
		ap, merged := p.apps[id]
		if !merged {
			ap.paths = &pathNode{}
		}
		if ap.byDefault, err = action(fmt.Sprintf("policies[%d].defaultAction", i), app.DefaultAction, byDefault); err != nil {
			return nil, err
		}
		for j, op := range app.Operations {
			allow, err := action(fmt.Sprintf("policies[%d].operations[%d].action", i, j), op.Action, true)
			if err != nil {
				return nil, err
			}
			ap.paths.add(segments(op.Name), op.Verbs, allow)
		}
		p.apps[id] = ap
	}
	return p, nil
}

func action(field, value string, otherwise bool) (allow bool, err error) {
	switch strings.ToLower(value) {
	case "":
		return otherwise, nil
	case "allow":
		return true, nil
	case "deny":
		return false, nil
	}
	return false, fmt.Errorf("accessControl.%s %q is not known: use allow or deny", field, value)
}

// AllowsAll tells whether the policy never refuses, so that a caller's identity
// need not be looked at.
func (p *Policy) AllowsAll() bool { return p.byDefault && len(p.apps) == 0 }

// Allow decides about a call. caller is nil when the caller has proved nothing.
// The verb is an HTTP one, or empty for an app that speaks gRPC.
func (p *Policy) Allow(caller *ID, method, verb string) Decision {
	if caller == nil {
		return p.global("the caller's identity is not known")
	}
	app, known := p.apps[*caller]
	if !known {
		return p.global("no policy is about " + caller.String())
	}
	s := search{verb: strings.ToUpper(verb)}
	if allow, rule, found := s.find(app.paths, segments(method)); found {
		return Decision{Allowed: allow, ByApp: true, Reason: fmt.Sprintf("the operation %s of the policy about %s", rule, caller)}
	}
	return Decision{Allowed: app.byDefault, ByApp: true, Reason: fmt.Sprintf("the default action of the policy about %s", caller)}
}

func (p *Policy) global(why string) Decision {
	return Decision{Allowed: p.byDefault, Reason: why + "; the default action for everybody counts"}
}

// segments are the parts of a path in its shortest form, so that no other way to
// write a path gets around a rule.
func segments(method string) []string {
	method, _, _ = strings.Cut(method, "?")
	clean := path.Clean("/" + method)
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

const (
	one     = "*"
	many    = "**"
	anyVerb = "*"
)

// pathNode is one segment of the rules' paths.
type pathNode struct {
	next  map[string]*pathNode // by literal segment, one or many
	rule  string               // the path that ends here
	verbs map[string]bool      // whether each is allowed; anyVerb is for the others
}

func (n *pathNode) add(path, verbs []string, allow bool) {
	if l := len(path); l > 0 && path[l-1] == one {
		path[l-1] = many // at the end, anything below
	}
	rule := "/" + strings.Join(path, "/")
	if rule == "/"+many {
		n.end(rule, verbs, allow) // everything: the root too
	}
	for _, segment := range path {
		child := n.next[segment]
		if child == nil {
			if n.next == nil {
				n.next = make(map[string]*pathNode)
			}
			child = &pathNode{}
			n.next[segment] = child
		}
		n = child
	}
	n.end(rule, verbs, allow)
}

func (n *pathNode) end(rule string, verbs []string, allow bool) {
	n.rule = rule
	if len(verbs) == 0 {
		verbs = []string{anyVerb}
	}
	if n.verbs == nil {
		n.verbs = make(map[string]bool)
	}
	for _, verb := range verbs {
		verb = strings.ToUpper(verb)
		earlier, twice := n.verbs[verb]
		n.verbs[verb] = allow && (earlier || !twice) // when rules contradict each other, deny is safer
	}
}

// search is for what the most specific rule says that is about a path and a
// verb: segment by segment, a literal one goes before "*", and that before "**".
type search struct {
	verb string
	// failed are the places behind a "**" where nothing was found, so that a long
	// path is not gone through again and again.
	failed map[place]bool
}

type place struct {
	node *pathNode
	left int
}

func (s *search) find(n *pathNode, path []string) (allow bool, rule string, found bool) {
	if len(path) == 0 {
		return n.verdict(s.verb)
	}
	if path[0] != one && path[0] != many { // a star in a request is no wildcard
		if child := n.next[path[0]]; child != nil {
			if allow, rule, found = s.find(child, path[1:]); found {
				return allow, rule, true
			}
		}
	}
	if child := n.next[one]; child != nil {
		if allow, rule, found = s.find(child, path[1:]); found {
			return allow, rule, true
		}
	}
	child := n.next[many]
	if child == nil {
		return false, "", false
	}
	for taken := 1; taken <= len(path); taken++ {
		at := place{child, len(path) - taken}
		if s.failed[at] {
			break // and so did all that is behind it
		}
		if allow, rule, found = s.find(child, path[taken:]); found {
			return allow, rule, true
		}
		if s.failed == nil {
			s.failed = make(map[place]bool)
		}
		s.failed[at] = true
	}
	return false, "", false
}

func (n *pathNode) verdict(verb string) (allow bool, rule string, found bool) {
	if n.rule == "" {
		return false, "", false
	}
	if verb == "" {
		// A gRPC app's methods have no verbs: what is about one is about all.
		allow = true
		for _, each := range n.verbs {
			allow = allow && each
		}
		return allow, n.rule, true
	}
	if allow, found = n.verbs[verb]; !found {
		allow, found = n.verbs[anyVerb]
	}
	return allow, n.rule, found
}
