package security

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDs(t *testing.T) {
	id := ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: Operator}
	require.Equal(t, "spiffe://cluster.local/ns/dapr-system/dapr-operator", id.String())
	require.Equal(t, id.String(), id.URL().String())
	parsed, err := ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, parsed)
	require.NoError(t, id.Validate())

	for _, s := range []string{
		"", "dapr-operator", "https://a/ns/b/c", "spiffe://a", "spiffe://a/ns/b", "spiffe://a/ns/b/c/d", "spiffe://a/x/b/c", "spiffe://a/ns//c",
		"spiffe://a/ns/b/c?x", "spiffe://A/ns/b/c", "spiffe://a:1/ns/b/c", "spiffe://a/ns/../c",
	} {
		_, err := ParseID(s)
		require.Error(t, err, s)
	}
}

func TestValidateNamesThePart(t *testing.T) {
	for _, c := range []struct {
		id  ID
		err string
	}{
		{ID{"", "b", "c"}, "the trust domain is missing"},
		{ID{"a", "", "c"}, "the namespace is missing"},
		{ID{"a", "b", ""}, "the app id is missing"},
		{ID{"A", "b", "c"}, `trust domain "A": use lower-case letters, digits, dots, dashes and underscores`},
		{ID{"spiffe://a", "b", "c"}, `trust domain "spiffe://a": use lower-case letters, digits, dots, dashes and underscores`},
		{ID{"a", ".", "c"}, `namespace ".": use letters, digits, dots, dashes and underscores`},
		{ID{"a", "b", "c/d"}, `app id "c/d": use letters, digits, dots, dashes and underscores`},
		{ID{"a", "b", "ü"}, `app id "ü": use letters, digits, dots, dashes and underscores`},
	} {
		require.EqualError(t, c.id.Validate(), c.err)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("spiffe://a/ns/b/c")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		require.NoError(t, id.Validate())
		require.Equal(t, s, id.String())
	})
}
