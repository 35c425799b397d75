package secret

import (
	"slices"
	"strings"

	"github.com/hyperdapr/dapr/pkg/resource"
)

// scopes are the Configuration's restrictions by store.
type scopes map[string]resource.SecretsScope

func newScopes(list []resource.SecretsScope) scopes {
	s := make(scopes, len(list))
	for _, scope := range list {
		s[scope.StoreName] = scope
	}
	return s
}

// allow tells whether the app may read the secret. A list of allowed secrets
// says all; without one, a denied secret stays denied whatever the default is.
func (s scopes) allow(store, key string) bool {
	scope, restricted := s[store]
	switch {
	case !restricted:
		return true
	case len(scope.AllowedSecrets) > 0:
		return slices.Contains(scope.AllowedSecrets, key)
	case slices.Contains(scope.DeniedSecrets, key):
		return false
	}
	return !strings.EqualFold(scope.DefaultAccess, "deny")
}
