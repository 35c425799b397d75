package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Right is something a user may do. The empty Group is Kubernetes' own; a Right
// with an empty Namespace is one for all namespaces or for what has none.
type Right struct {
	Verb, Group, Resource, Namespace string
}

// MissingRightsError lists what a user may not do and would have to.
type MissingRightsError struct {
	Cluster string
	Missing []Right
}

func (e *MissingRightsError) Error() string {
	type object struct{ group, resource, namespace string }
	verbs := make(map[object][]string)
	for _, r := range e.Missing {
		o := object{r.Group, r.Resource, r.Namespace}
		verbs[o] = append(verbs[o], r.Verb)
	}
	var lines []string
	for o, v := range verbs {
		name := o.resource
		if o.group != "" {
			name += "." + o.group
		}
		where := ""
		if o.namespace != "" {
			where = " in the namespace " + o.namespace
		}
		slices.Sort(v)
		lines = append(lines, fmt.Sprintf("\n  %s: %s%s", name, strings.Join(slices.Compact(v), ", "), where))
	}
	slices.Sort(lines)
	return fmt.Sprintf("too few rights in %s; ask its administrator for these, or choose another context:%s", e.Cluster, strings.Join(lines, ""))
}

// Require asks the cluster whether the user has the rights, all at once. The
// error is a *MissingRightsError when some are missing.
func (c *Client) Require(ctx context.Context, rights []Right) error {
	asked := make(map[Right]bool)
	for _, r := range rights {
		asked[r] = true
	}
	var (
		mu      sync.Mutex
		missing []Right
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for r := range maps.Keys(asked) {
		group.Go(func() error {
			allowed, err := c.allows(ctx, r)
			if err == nil && !allowed {
				mu.Lock()
				missing = append(missing, r)
				mu.Unlock()
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("ask what the user may do: %w", err)
	}
	if len(missing) > 0 {
		return &MissingRightsError{Cluster: c.String(), Missing: missing}
	}
	return nil
}

func (c *Client) allows(ctx context.Context, r Right) (bool, error) {
	resource, sub, _ := strings.Cut(r.Resource, "/")
	review, err := c.Clientset.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{
		Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
			Verb: r.Verb, Group: r.Group, Resource: resource, Subresource: sub, Namespace: r.Namespace,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
