package authority_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/security/authority"
)

func TestAdoptIsTrustedByWhoKnowsTheOldRootOnly(t *testing.T) {
	old, err := authority.New(options)
	require.NoError(t, err)
	given, err := authority.New(options)
	require.NoError(t, err)

	adopted, err := authority.Adopt(old, given, options)
	require.NoError(t, err)
	require.Equal(t, string(given.Key), string(adopted.Key))
	after := leaf(t, parse(t, adopted))
	require.NoError(t, trusts(old.Anchors, after), "new certificates, old anchors")
	require.NoError(t, trusts(given.Anchors, after))
	require.NoError(t, trusts(adopted.Anchors, leaf(t, parse(t, old))), "old certificates, new anchors")

	again, err := authority.Adopt(adopted, given, options)
	require.NoError(t, err)
	require.Len(t, parse(t, again).Anchors(), 2, "no root stands there twice")

	_, err = authority.Adopt(old, authority.Bundle{Anchors: given.Anchors, Issuer: old.Issuer, Key: old.Key}, options)
	require.ErrorContains(t, err, "issuer.crt does not lead to a root in ca.crt")
}
