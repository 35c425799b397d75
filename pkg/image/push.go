package image

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hyperdapr/dapr/pkg/version"
)

// Push brings the image into a registry, under its name there. It logs in as
// the container tools of this machine do: with their configuration files and
// credential helpers. What is there already is not sent again.
func Push(ctx context.Context, ref name.Tag, index v1.ImageIndex) error {
	err := remote.WriteIndex(ref, index,
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("dapr-cli/"+version.Version()),
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 3}),
	)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return explain(ref, err)
}

// explain says what the user can do about a failed push.
func explain(ref name.Tag, err error) error {
	if err == nil {
		return nil
	}
	var (
		answer    *transport.Error
		lookup    *net.DNSError
		request   *url.Error
		network   *net.OpError
		unknownCA x509.UnknownAuthorityError
	)
	registry := ref.RegistryStr()
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the registry %s refuses the login: log in with \"docker login %[1]s\", or with another tool that writes ~/.docker/config.json", registry)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the registry %s does not let this user write to %s: %w", registry, ref.RepositoryStr(), answer)
	case errors.As(err, &answer):
		return fmt.Errorf("the registry %s answers: %w", registry, answer)
	case errors.As(err, &lookup):
		return fmt.Errorf("the registry %s cannot be found: %w; is its name right?", registry, lookup)
	case errors.As(err, &unknownCA):
		return fmt.Errorf("the registry %s has a certificate that this machine does not trust: %w", registry, err)
	case errors.As(err, &network):
		if errors.As(err, &request) {
			err = request.Err
		}
		return fmt.Errorf("the registry %s does not answer: %w; is it running, and its address right?", registry, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("the registry %s speaks plain HTTP: give --insecure if that is meant", registry)
	default:
		return fmt.Errorf("push %s: %w", ref, err)
	}
}
