package invoke

import (
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/apierror"
)

const codeDirectInvoke = "ERR_DIRECT_INVOKE"

// ErrNoTarget is the cause of the error of a request that names no app.
var ErrNoTarget = errors.New("failed getting app id either from the URL path or the header dapr-app-id")

func errNoTarget() *apierror.Error {
	return apierror.New(codeDirectInvoke, http.StatusNotFound, codes.NotFound, "%w", ErrNoTarget)
}

// errInvoke is every failure to reach the target. That the target refuses the
// caller is the one reason that has a status of its own.
func errInvoke(target string, err error) *apierror.Error {
	httpStatus, code := http.StatusInternalServerError, codes.Internal
	if status.Code(err) == codes.PermissionDenied {
		httpStatus, code = http.StatusForbidden, codes.PermissionDenied
	}
	return apierror.New(codeDirectInvoke, httpStatus, code, "failed to invoke, id: %s, err: %w", target, plain{err})
}

// plain is an error without the words that the gRPC library puts before a
// status' message.
type plain struct{ error }

func (p plain) Error() string {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(p.error, &s) {
		return s.GRPCStatus().Message()
	}
	return p.error.Error()
}

func (p plain) Unwrap() error { return p.error }
