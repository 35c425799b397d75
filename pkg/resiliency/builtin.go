package resiliency

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ServiceRetries is the protocol's built-in policy for calls between sidecars:
// three more attempts, a second apart, when the callee cannot be reached or does
// not accept the caller's certificate (which may be about to rotate).
func ServiceRetries() Policy {
	return Policy{
		Name:       "DaprBuiltInServiceRetries",
		MaxRetries: 3,
		Wait:       Constant(time.Second),
		Retryable: func(err error) bool {
			switch status.Code(err) {
			case codes.Unavailable, codes.Unauthenticated:
				return true
			default:
				return false
			}
		},
	}
}
