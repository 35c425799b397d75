package state

import (
	"errors"
	"net/http"
	"strings"

	contrib "github.com/dapr/components-contrib/state"
	"google.golang.org/grpc/codes"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/nearest"
)

// The codes of the state API.
const (
	codeNotConfigured    = "ERR_STATE_STORE_NOT_CONFIGURED"
	codeNotFound         = "ERR_STATE_STORE_NOT_FOUND"
	codeNotSupported     = "ERR_STATE_STORE_NOT_SUPPORTED"
	codeTooMany          = "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS"
	codeUnknownOperation = "ERR_NOT_SUPPORTED_STATE_OPERATION"
	codeMalformed        = "ERR_MALFORMED_REQUEST"
	codeGet              = "ERR_STATE_GET"
	codeBulkGet          = "ERR_STATE_BULK_GET"
	codeSave             = "ERR_STATE_SAVE"
	codeDelete           = "ERR_STATE_DELETE"
	codeTransaction      = "ERR_STATE_TRANSACTION"
	codeQuery            = "ERR_STATE_QUERY"
)

// The reasons that programs read in the details.
const (
	reasonNotConfigured = "DAPR_STATE_NOT_CONFIGURED"
	reasonNotFound      = "DAPR_STATE_NOT_FOUND"
	reasonNotSupported  = "DAPR_STATE_NOT_SUPPORTED"
	reasonIllegalKey    = "DAPR_STATE_ILLEGAL_KEY"
	reasonTooMany       = "DAPR_STATE_TOO_MANY_TRANSACTIONS"
	reasonGetFailed     = "DAPR_STATE_GET_STATE_FAILED"
	reasonQueryFailed   = "DAPR_STATE_QUERY_FAILED"
)

func errNotConfigured(name string) *apierror.Error {
	return about(name, reasonNotConfigured, apierror.New(codeNotConfigured, http.StatusInternalServerError, codes.FailedPrecondition,
		"no state store is configured: add a component of type state.*, such as state.redis"))
}

func errNotReady(name string, reason error) *apierror.Error {
	return about(name, reasonNotConfigured, apierror.New(codeNotConfigured, http.StatusInternalServerError, codes.FailedPrecondition,
		"state store %s is not ready: %w", name, reason))
}

func errNotFound(name string, known []string) *apierror.Error {
	hint := "; known: " + strings.Join(known, ", ")
	if n := nearest.Name(name, known); n != "" {
		hint = "; did you mean " + n + "?"
	}
	return about(name, reasonNotFound, apierror.New(codeNotFound, http.StatusBadRequest, codes.InvalidArgument,
		"state store %s is not found%s", name, hint))
}

func errNoDefault(candidates []string) *apierror.Error {
	return about("", reasonNotFound, apierror.New(codeNotFound, http.StatusBadRequest, codes.InvalidArgument,
		"the request names no state store and there are several: %s; name one in the path (/v1.0/state/<store>) or call one component statestore",
		strings.Join(candidates, ", ")))
}

func errEmptyKey(store string) *apierror.Error {
	return malformed("key", "must not be empty", "key is empty in a request to state store %s", store)
}

func errIllegalKey(store, key string) *apierror.Error {
	return about(store, reasonIllegalKey, apierror.New(codeMalformed, http.StatusBadRequest, codes.InvalidArgument,
		"key %q must not contain %q", key, separator)).WithField("key", "must not contain "+separator)
}

func errOption(field, value, allowed string) *apierror.Error {
	return malformed(field, "must be one of "+allowed, "%s %q is not one of %s", field, value, allowed)
}

func errTTL(value string) *apierror.Error {
	return malformed("metadata.ttlInSeconds", "must be a whole number from -1 to 2147483647",
		"metadata ttlInSeconds %q is not a whole number of seconds from -1 (never expires) to 2147483647", value)
}

func errMalformedQuery(err error) *apierror.Error {
	return malformed("query", "must be the JSON of a query", "failed to parse the query: %w", err)
}

func errNoTransactions(store string) *apierror.Error {
	return about(store, reasonNotSupported, apierror.New(codeNotSupported, http.StatusInternalServerError, codes.Unimplemented,
		"state store %s has no transactions", store))
}

func errNoQueries(store string) *apierror.Error {
	return about(store, reasonNotSupported, apierror.New(codeNotSupported, http.StatusInternalServerError, codes.Unimplemented,
		"state store %s has no queries", store))
}

func errQueryEncrypted(store string) *apierror.Error {
	return about(store, reasonNotSupported, apierror.New(codeNotSupported, http.StatusInternalServerError, codes.Unimplemented,
		"state store %s cannot be queried: its values are encrypted", store))
}

func errTooMany(store string, count, limit int) *apierror.Error {
	return about(store, reasonTooMany, apierror.New(codeTooMany, http.StatusBadRequest, codes.InvalidArgument,
		"the transaction has %d operations, and state store %s takes at most %d", count, store, limit))
}

func errUnknownOperation(name string) *apierror.Error {
	return apierror.New(codeUnknownOperation, http.StatusBadRequest, codes.InvalidArgument,
		"operation %q is not one of upsert, delete", name)
}

func errGet(store, key string, err error) *apierror.Error {
	return about(store, reasonGetFailed, apierror.New(codeGet, http.StatusInternalServerError, codes.Internal,
		"failed to get %s from state store %s: %w", key, store, err))
}

func errBulkGet(store string, err error) *apierror.Error {
	return apierror.New(codeBulkGet, http.StatusInternalServerError, codes.Internal,
		"failed to get keys from state store %s: %w", store, err)
}

func errSave(store string, err error) *apierror.Error {
	httpStatus, grpcCode := writeStatus(err)
	return apierror.New(codeSave, httpStatus, grpcCode, "failed to save state in state store %s: %w", store, err)
}

func errDelete(store, key string, err error) *apierror.Error {
	httpStatus, grpcCode := writeStatus(err)
	return apierror.New(codeDelete, httpStatus, grpcCode, "failed to delete %s in state store %s: %w", key, store, err)
}

func errDeleteBulk(store string, err error) *apierror.Error {
	httpStatus, grpcCode := writeStatus(err)
	return apierror.New(codeDelete, httpStatus, grpcCode, "failed to delete keys in state store %s: %w", store, err)
}

// errTransaction does not tell a mismatched etag by its status: the protocol
// has one answer for every failed transaction.
func errTransaction(store string, err error) *apierror.Error {
	return apierror.New(codeTransaction, http.StatusInternalServerError, codes.Internal,
		"failed to execute the transaction in state store %s: %w", store, err)
}

func errQuery(store string, err error) *apierror.Error {
	return about(store, reasonQueryFailed, apierror.New(codeQuery, http.StatusInternalServerError, codes.Internal,
		"failed to query state store %s: %w", store, err))
}

// about adds what programs read: the reason and the store.
func about(store, reason string, e *apierror.Error) *apierror.Error {
	return e.WithReason(reason, nil).WithResource("state", store, "", "")
}

// malformed is a request with a field that is not what it must be.
func malformed(field, must, format string, args ...any) *apierror.Error {
	return apierror.New(codeMalformed, http.StatusBadRequest, codes.InvalidArgument, format, args...).WithField(field, must)
}

// writeStatus tells an etag that does not match, which the app can solve by
// reading again, from everything else.
func writeStatus(err error) (int, codes.Code) {
	var etag *contrib.ETagError
	if !errors.As(err, &etag) {
		return http.StatusInternalServerError, codes.Internal
	}
	if etag.Kind() == contrib.ETagInvalid {
		return http.StatusBadRequest, codes.InvalidArgument
	}
	return http.StatusConflict, codes.Aborted
}
