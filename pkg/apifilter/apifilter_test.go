package apifilter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/apifilter"
)

func TestAllows(t *testing.T) {
	var (
		getState   = apifilter.Operation{Protocol: apifilter.HTTP, Group: "state", Version: "v1", Path: "/v1.0/state/{store}/{key}"}
		queryState = apifilter.Operation{Protocol: apifilter.HTTP, Group: "state", Version: "v1alpha1", Path: "/v1.0-alpha1/state/{store}/query"}
		bulk       = apifilter.Operation{Protocol: apifilter.HTTP, Group: "publish", Version: "v1", Path: "/v1.0/publish/bulk/{pubsub}/{topic...}"}
		publish    = apifilter.Operation{Protocol: apifilter.HTTP, Group: "publish", Version: "v1", Path: "/v1.0/publish/{pubsub}/{topic...}"}
		grpcState  = apifilter.Operation{Protocol: apifilter.GRPC, Group: "state", Version: "v1"}
	)
	type rules = []apifilter.Rule
	for _, tc := range []struct {
		name            string
		allowed, denied rules
		op              apifilter.Operation
		want            bool
	}{
		{"no lists", nil, nil, getState, true},
		{"allowed by group", rules{{Name: "state", Version: "v1"}}, nil, getState, true},
		{"allowed by group, written as in the path", rules{{Name: "state", Version: "v1.0", Protocol: "grpc"}}, nil, grpcState, true},
		{"another version", rules{{Name: "state", Version: "v1"}}, nil, queryState, false},
		{"another version, written as in the path", rules{{Name: "state", Version: "v1.0"}}, nil, queryState, false},
		{"alpha as in the path", rules{{Name: "state", Version: "v1.0-alpha1"}}, nil, queryState, true},
		{"every version", rules{{Name: "state"}}, nil, queryState, true},
		{"another group", rules{{Name: "secrets", Version: "v1"}}, nil, getState, false},
		{"a prefix of a group's name is not the group", rules{{Name: "stat", Version: "v1.0"}}, nil, getState, false},
		{"by path", rules{{Name: "publish/bulk", Version: "v1.0"}}, nil, bulk, true},
		{"by path, other operation", rules{{Name: "publish/bulk", Version: "v1.0"}}, nil, publish, false},
		{"by whole path", rules{{Name: "v1.0/publish/bulk"}}, nil, bulk, true},
		{"allow list for the other protocol only", rules{{Name: "secrets", Version: "v1", Protocol: "grpc"}}, nil, getState, true},
		{"denied", nil, rules{{Name: "state", Version: "v1"}}, getState, false},
		{"denied on the other protocol", nil, rules{{Name: "state", Version: "v1", Protocol: "grpc"}}, getState, true},
		{"denied wins", rules{{Name: "state", Version: "v1"}}, rules{{Name: "state", Version: "v1"}}, getState, false},
		{"case does not matter", rules{{Name: "State", Version: "V1", Protocol: "HTTP"}}, nil, getState, true},
		{"the empty rule names nothing", nil, rules{{}}, getState, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, apifilter.Filter{Allowed: tc.allowed, Denied: tc.denied}.Allows(tc.op))
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		rule apifilter.Rule
		want string
	}{
		{apifilter.Rule{Name: "state", Version: "v1", Protocol: "http"}, ""},
		{apifilter.Rule{Name: "state", Version: "v1.0-alpha1"}, ""},
		{apifilter.Rule{Name: "publish/bulk", Version: "v1.0"}, ""},
		{apifilter.Rule{Name: "v1.0/publish/bulk"}, ""},
		{apifilter.Rule{Name: "sate", Version: "v1"}, `spec.api.denied[0].name: "sate" is unknown; did you mean "state"?`},
		{apifilter.Rule{Name: "state", Version: "v7"}, `spec.api.denied[0].version: "v7" is unknown`},
		{apifilter.Rule{Name: "state", Protocol: "gprc"}, `spec.api.denied[0].protocol: "gprc" is unknown; did you mean "grpc"?`},
		{apifilter.Rule{}, `spec.api.denied[0].name: "" is unknown`},
	} {
		t.Run(tc.rule.Name+tc.rule.Version+tc.rule.Protocol, func(t *testing.T) {
			err := apifilter.Filter{Denied: []apifilter.Rule{tc.rule}}.Validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}
