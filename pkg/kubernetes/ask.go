package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// askTimeout bounds a question that is one request.
const askTimeout = 30 * time.Second

// ask runs one request. Its error says what was being done; one of a cluster
// that does not answer says what is wrong between here and there.
func (c *Client) ask(ctx context.Context, what string, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := request(ctx)
	status := apierrors.APIStatus(nil)
	switch {
	case err == nil:
		return nil
	case apierrors.IsUnauthorized(err), !errors.As(err, &status):
		return c.explain(err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
