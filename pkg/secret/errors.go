package secret

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/nearest"
)

// The codes of the secrets API.
const (
	codeNotConfigured = "ERR_SECRET_STORES_NOT_CONFIGURED"
	codeNotFound      = "ERR_SECRET_STORE_NOT_FOUND"
	codePermission    = "ERR_PERMISSION_DENIED"
	codeGet           = "ERR_SECRET_GET"
)

func errNotConfigured() *apierror.Error {
	return apierror.New(codeNotConfigured, http.StatusInternalServerError, codes.FailedPrecondition,
		"no secret store is configured: add a component of type secretstores.*, such as secretstores.local.file")
}

func errNotReady(store string, reason error) *apierror.Error {
	return apierror.New(codeNotConfigured, http.StatusInternalServerError, codes.FailedPrecondition,
		"secret store %s is declared but not ready: %w", store, reason)
}

func errNotFound(store string, known []string) *apierror.Error {
	hint := "; known: " + strings.Join(known, ", ")
	if n := nearest.Name(store, known); n != "" {
		hint = "; did you mean " + n + "?"
	}
	return apierror.New(codeNotFound, http.StatusUnauthorized, codes.InvalidArgument, "secret store %s is not found%s", store, hint)
}

func errPermission(store, key string) *apierror.Error {
	return apierror.New(codePermission, http.StatusForbidden, codes.PermissionDenied,
		"the Configuration's spec.secrets.scopes do not let the app read secret %q of store %q", key, store)
}

func errGet(store, key string, err error) *apierror.Error {
	return apierror.New(codeGet, http.StatusInternalServerError, codes.Internal,
		"failed to get secret %s from secret store %s: %w", key, store, err)
}

func errBulkGet(store string, err error) *apierror.Error {
	return apierror.New(codeGet, http.StatusInternalServerError, codes.Internal,
		"failed to get the secrets of secret store %s: %w", store, err)
}
