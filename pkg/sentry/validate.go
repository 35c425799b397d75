package sentry

import (
	"context"
	"errors"
	"fmt"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"

	"github.com/hyperdapr/dapr/pkg/security"
)

// validator decides who a request comes from. An error refuses the request; one
// with a gRPC status is given on as it is, every other is PermissionDenied.
type validator interface {
	validate(ctx context.Context, req *sentryv1.SignCertificateRequest) (security.ID, error)
	// run does what the validator needs in the background, until the context ends.
	run(ctx context.Context) error
}

// believing takes everybody at their word. It is for one machine, where who can ask could
// read the authority's files too.
type believing struct{}

func (believing) validate(_ context.Context, req *sentryv1.SignCertificateRequest) (security.ID, error) {
	return claimed(req)
}

func (believing) run(context.Context) error { return nil }

// claimed is who a request says it is from.
func claimed(req *sentryv1.SignCertificateRequest) (security.ID, error) {
	id := security.ID{TrustDomain: req.GetTrustDomain(), Namespace: req.GetNamespace(), AppID: req.GetId()}
	if id.TrustDomain == "" {
		id.TrustDomain = security.DefaultTrustDomain
	}
	if err := id.Validate(); err != nil {
		return security.ID{}, fmt.Errorf("request for a certificate: %w", err)
	}
	return id, nil
}

var errNoToken = errors.New("the request has no token that proves who it is from")
