// Package apierror is the one error that leaves the sidecar's API. A building
// block returns it, the HTTP and gRPC servers encode it, and nothing in between
// looks at its text.
package apierror

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// domain is the ErrorInfo domain of the protocol.
const domain = "dapr.io"

// Error is an API error with everything both faces need.
type Error struct {
	// Code is the stable name, such as "ERR_STATE_GET".
	Code string
	// HTTP is the status of the HTTP face.
	HTTP int
	// GRPC is the code of the gRPC face.
	GRPC codes.Code
	// Message is for people; nothing branches on it.
	Message string
	// Details are Google RPC detail messages (ErrorInfo, ResourceInfo,
	// BadRequest …), in order.
	Details []proto.Message

	cause error
}

// New returns an error with a formatted message. A %w verb keeps the cause for
// errors.Is and errors.As.
func New(code string, httpStatus int, grpcCode codes.Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, HTTP: httpStatus, GRPC: grpcCode, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// WithReason adds an ErrorInfo detail: reason is the machine-readable
// "DAPR_…" name, metadata may be nil.
func (e *Error) WithReason(reason string, metadata map[string]string) *Error {
	return e.with(&errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: metadata})
}

// WithResource adds a ResourceInfo detail, such as ("state", "statestore").
func (e *Error) WithResource(kind, name, owner, description string) *Error {
	return e.with(&errdetails.ResourceInfo{ResourceType: kind, ResourceName: name, Owner: owner, Description: description})
}

// WithField adds a BadRequest detail that names the field that is wrong.
func (e *Error) WithField(field, description string) *Error {
	return e.with(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: description}}})
}

func (e *Error) with(m proto.Message) *Error {
	c := *e
	c.Details = append(append([]proto.Message(nil), e.Details...), m)
	return &c
}

// From returns err as an API error. A gRPC status keeps its code; anything else
// is an internal error with the code "ERROR".
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return &Error{Code: "ERROR", HTTP: HTTPStatus(s.Code()), GRPC: s.Code(), Message: s.Message(), cause: err}
	}
	return &Error{Code: "ERROR", HTTP: http.StatusInternalServerError, GRPC: codes.Internal, Message: err.Error(), cause: err}
}

// GRPCStatus is what grpc-go sends to the client.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.GRPC, e.Message)
	if len(e.Details) == 0 {
		return s
	}
	details := make([]protoadapt.MessageV1, len(e.Details))
	for i, d := range e.Details {
		details[i] = protoadapt.MessageV1Of(d)
	}
	if withDetails, err := s.WithDetails(details...); err == nil {
		return withDetails
	}
	return s
}

// MarshalJSON is the body of the HTTP face: errorCode, message, and details
// where there are any.
func (e *Error) MarshalJSON() ([]byte, error) {
	body := struct {
		ErrorCode string            `json:"errorCode"`
		Message   string            `json:"message"`
		Details   []json.RawMessage `json:"details,omitempty"`
	}{ErrorCode: e.Code, Message: e.Message}
	for _, d := range e.Details {
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(d)
		if err != nil {
			return nil, err
		}
		// The Any form names its type first; protojson alone leaves it out.
		typed := append([]byte(`{"@type":"type.googleapis.com/`), d.ProtoReflect().Descriptor().FullName()...)
		typed = append(typed, '"')
		if len(raw) > 2 {
			typed = append(typed, ',')
		}
		body.Details = append(body.Details, append(typed, raw[1:]...))
	}
	return json.Marshal(body)
}

// HTTPStatus maps a gRPC code to the HTTP status that the protocol's
// transcoding rules give it (google.rpc.Code).
func HTTPStatus(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return 499
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// GRPCCode is the reverse of HTTPStatus for the statuses an app answers with;
// see facts of the protocol: 400 is Internal and 500 Unknown for an HTTP app
// called through gRPC.
func GRPCCode(httpStatus int) codes.Code {
	switch {
	case httpStatus >= 200 && httpStatus < 300:
		return codes.OK
	}
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusConflict:
		return codes.AlreadyExists
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusNotImplemented:
		return codes.Unimplemented
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	case http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	case 499:
		return codes.Canceled
	case http.StatusBadRequest:
		return codes.Internal
	}
	return codes.Unknown
}
