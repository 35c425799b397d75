package security

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPolicy(t *testing.T) {
	caller := func(s string) *ID {
		if s == "" {
			return nil
		}
		id, err := ParseID("spiffe://" + s)
		require.NoError(t, err)
		return &id
	}
	const app1, app2 = "public/ns/default/app1", "public/ns/default/app2"
	deny := func(defaultAction string, ops ...OperationRule) AccessRules {
		return AccessRules{DefaultAction: "deny", Apps: []AppRules{{AppID: "app1", DefaultAction: defaultAction, Operations: ops}}}
	}
	allow := func(ops ...OperationRule) AccessRules {
		return AccessRules{DefaultAction: "allow", Apps: []AppRules{{AppID: "app1", DefaultAction: "allow", Operations: ops}}}
	}
	for _, c := range []struct {
		name                 string
		rules                AccessRules
		caller, method, verb string
		allowed, byApp       bool
	}{
		{"nothing is said", AccessRules{}, app1, "/op", "GET", true, false},
		{"nothing is said, nothing is known", AccessRules{}, "", "/op", "GET", true, false},
		{"deny all", AccessRules{DefaultAction: "deny"}, app1, "/op", "GET", false, false},
		{"rules for some refuse the others", AccessRules{Apps: []AppRules{{AppID: "app1"}}}, app2, "/op", "GET", false, false},
		{"rules for some do not allow them by themselves", AccessRules{Apps: []AppRules{{AppID: "app1"}}}, app1, "/op", "GET", false, true},
		{"identity unknown", deny("allow"), "", "/op", "GET", false, false},
		{"the app's default", deny("allow"), app1, "/op", "GET", true, true},
		{"another app", deny("allow"), app2, "/op", "GET", false, false},
		{"another trust domain", deny("allow"), "other/ns/default/app1", "/op", "GET", false, false},
		{"another namespace", deny("allow"), "public/ns/prod/app1", "/op", "GET", false, false},
		{"the app's default is everybody's", AccessRules{DefaultAction: "allow", Apps: []AppRules{{AppID: "app1"}}}, app1, "/op", "GET", true, true},

		{"operation", deny("deny", OperationRule{Name: "/op", Verbs: []string{"*"}, Action: "allow"}), app1, "/op", "GET", true, true},
		{"operation without a slash", deny("deny", OperationRule{Name: "op", Action: "allow"}), app1, "op", "POST", true, true},
		{"operation in a longer form", deny("deny", OperationRule{Name: "/op", Action: "allow"}), app1, "//x/../op/", "POST", true, true},
		{"operation with a query", deny("deny", OperationRule{Name: "/op", Action: "allow"}), app1, "op?a=/b", "POST", true, true},
		{"action is allow by itself", deny("deny", OperationRule{Name: "/op"}), app1, "/op", "POST", true, true},
		{"another operation", deny("deny", OperationRule{Name: "/op", Action: "allow"}), app1, "/op2", "GET", false, true},
		{"below an operation", deny("deny", OperationRule{Name: "/op", Action: "allow"}), app1, "/op/a", "GET", false, true},
		{"verb", deny("deny", OperationRule{Name: "/op", Verbs: []string{"post", "PUT"}, Action: "allow"}), app1, "/op", "put", true, true},
		{"another verb", deny("deny", OperationRule{Name: "/op", Verbs: []string{"POST"}, Action: "allow"}), app1, "/op", "GET", false, true},
		{
			"verb before any verb",
			allow(OperationRule{Name: "/op", Verbs: []string{"*"}, Action: "allow"}, OperationRule{Name: "/op", Verbs: []string{"DELETE"}, Action: "deny"}),
			app1, "/op", "DELETE", false, true,
		},
		{
			"deny when rules contradict each other",
			allow(OperationRule{Name: "/op", Verbs: []string{"GET"}, Action: "deny"}, OperationRule{Name: "/op", Verbs: []string{"GET"}, Action: "allow"}),
			app1, "/op", "GET", false, true,
		},
		{
			"a less specific rule for the verb",
			allow(OperationRule{Name: "/op", Verbs: []string{"POST"}, Action: "allow"}, OperationRule{Name: "/*", Verbs: []string{"GET"}, Action: "deny"}),
			app1, "/op", "GET", false, true,
		},

		{"star at the end", allow(OperationRule{Name: "/op/*", Action: "deny"}), app1, "/op/a", "GET", false, true},
		{"star at the end, deeper", allow(OperationRule{Name: "/op/*", Action: "deny"}), app1, "/op/a/b", "GET", false, true},
		{"star at the end, above", allow(OperationRule{Name: "/op/*", Action: "deny"}), app1, "/op", "GET", true, true},
		{"star alone", allow(OperationRule{Name: "/*", Action: "deny"}), app1, "/a/b/c", "GET", false, true},
		{"star alone, root", allow(OperationRule{Name: "/*", Action: "deny"}), app1, "/", "GET", false, true},
		{"star within", allow(OperationRule{Name: "/a/*/b", Action: "deny"}), app1, "/a/x/b", "GET", false, true},
		{"star within is one segment", allow(OperationRule{Name: "/a/*/b", Action: "deny"}), app1, "/a/x/y/b", "GET", true, true},
		{"two stars", allow(OperationRule{Name: "/a/**/b", Action: "deny"}), app1, "/a/x/y/b", "GET", false, true},
		{"two stars are at least one segment", allow(OperationRule{Name: "/a/**/b", Action: "deny"}), app1, "/a/b", "GET", true, true},
		{"two stars, going back", allow(OperationRule{Name: "/a/**/b/c", Action: "deny"}), app1, "/a/b/b/b/c", "GET", false, true},
		{
			"literal before star",
			allow(OperationRule{Name: "/a/*", Action: "deny"}, OperationRule{Name: "/a/b", Action: "allow"}),
			app1, "/a/b", "GET", true, true,
		},
		{
			"star before two stars",
			allow(OperationRule{Name: "/**/c", Action: "deny"}, OperationRule{Name: "/*/c", Action: "allow"}),
			app1, "/b/c", "GET", true, true,
		},
		{
			"going back from a literal",
			allow(OperationRule{Name: "/a/x", Action: "allow"}, OperationRule{Name: "/*/y", Action: "deny"}),
			app1, "/a/y", "GET", false, true,
		},
		{"a star in the request is no wildcard", deny("deny", OperationRule{Name: "/a/*/b", Action: "allow"}), app1, "/a/**", "GET", false, true},

		{"gRPC method", deny("deny", OperationRule{Name: "/pkg.Service/Say", Action: "allow"}), app1, "/pkg.Service/Say", "", true, true},
		{"gRPC method by its name", deny("deny", OperationRule{Name: "Say", Action: "allow"}), app1, "Say", "", true, true},
		{"gRPC ignores verbs", deny("deny", OperationRule{Name: "/op2", Verbs: []string{"POST"}, Action: "allow"}), app1, "op2", "", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPolicy(c.rules)
			require.NoError(t, err)
			d := p.Allow(caller(c.caller), c.method, c.verb)
			require.Equal(t, c.allowed, d.Allowed, d.Reason)
			require.Equal(t, c.byApp, d.ByApp, d.Reason)
			require.NotEmpty(t, d.Reason)
		})
	}
}

func TestPolicyNamesTheMistake(t *testing.T) {
	for field, r := range map[string]AccessRules{
		`accessControl.defaultAction "no"`:                         {DefaultAction: "no"},
		`accessControl.policies[1].defaultAction "x"`:              {Apps: []AppRules{{AppID: "a"}, {AppID: "b", DefaultAction: "x"}}},
		`accessControl.policies[0].operations[0].action "perhaps"`: {Apps: []AppRules{{AppID: "a", Operations: []OperationRule{{Name: "/", Action: "perhaps"}}}}},
	} {
		_, err := NewPolicy(r)
		require.EqualError(t, err, field+" is not known: use allow or deny")
	}
}

func TestPolicyAllowsAll(t *testing.T) {
	for _, c := range []struct {
		rules AccessRules
		all   bool
	}{
		{AccessRules{}, true},
		{AccessRules{DefaultAction: "allow"}, true},
		{AccessRules{DefaultAction: "deny"}, false},
		{AccessRules{DefaultAction: "allow", Apps: []AppRules{{AppID: "a"}}}, false},
	} {
		p, err := NewPolicy(c.rules)
		require.NoError(t, err)
		require.Equal(t, c.all, p.AllowsAll())
	}
}

// A caller chooses the path: one made to match almost must not take long.
func TestLongPathsAreDecidedQuickly(t *testing.T) {
	p, err := NewPolicy(AccessRules{Apps: []AppRules{{AppID: "a", Operations: []OperationRule{{Name: "/**/a/**/a/**/a/**/a/**/b", Action: "allow"}}}}})
	require.NoError(t, err)
	began := time.Now()
	d := p.Allow(&ID{DefaultTrustDomain, "default", "a"}, strings.Repeat("/a", 4000), "GET")
	require.False(t, d.Allowed)
	require.Less(t, time.Since(began), 5*time.Second)
}

// A refused path stays refused in every other way to write it.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"/op/a", "op/../op/x", "//op//y/.", "/op/%2e%2e/z", "/*/x", "?", "/op?/../../a", ""} {
		f.Add(seed, "GET")
	}
	p, err := NewPolicy(AccessRules{DefaultAction: "allow", Apps: []AppRules{
		{AppID: "a", DefaultAction: "allow", Operations: []OperationRule{
			{Name: "/op/*", Action: "deny"}, {Name: "/a/**/b", Verbs: []string{"PUT"}, Action: "deny"}, {Name: "/x/*/y", Action: "allow"},
		}},
	}})
	require.NoError(f, err)
	caller := &ID{DefaultTrustDomain, "default", "a"}
	f.Fuzz(func(t *testing.T, method, verb string) {
		d := p.Allow(caller, method, verb)
		clean := "/" + strings.Join(segments(method), "/")
		require.Equal(t, d, p.Allow(caller, clean, verb))
		require.Equal(t, d, p.Allow(caller, "/."+clean+"/./", verb))
		if strings.HasPrefix(clean, "/op/") {
			require.False(t, d.Allowed)
		}
	})
}
