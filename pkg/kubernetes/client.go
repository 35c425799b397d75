// Package kubernetes is the command line's way into a cluster: which one a
// kubeconfig means, what the user may do there, the CustomResourceDefinitions,
// and what keeps a pod from being ready.
package kubernetes

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/dynamic"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	build "github.com/hyperdapr/dapr/pkg/version"
)

// FieldManager is who owns the fields that this program applies.
const FieldManager = "dapr-cli"

// reachTimeout bounds the first word with a cluster: one that is not there
// often swallows packets rather than refusing them.
const reachTimeout = 10 * time.Second

// Client is one cluster, as one user. It may be used by several goroutines.
type Client struct {
	Clientset clientset.Interface
	Dynamic   dynamic.Interface

	target target
	getter *getter
}

// Connect reads the kubeconfig. It does not talk to the cluster yet: see Reach.
func Connect(o Options) (*Client, error) {
	t, err := o.load()
	if err != nil {
		return nil, err
	}
	t.config.UserAgent = FieldManager + "/" + build.Version()
	// An installation makes some hundred requests at once; the library's default
	// of five a second is for controllers.
	t.config.QPS, t.config.Burst = 100, 300
	t.config.WarningHandlerWithContext = warnings{o.Warn}
	set, err := clientset.NewForConfig(t.config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	dyn, err := dynamic.NewForConfig(t.config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return &Client{Clientset: set, Dynamic: dyn, target: t, getter: &getter{config: t.config, loader: o.loader()}}, nil
}

// Config is how requests reach the cluster. The caller must not change it.
func (c *Client) Config() *rest.Config { return c.target.config }

// String names the cluster for people.
func (c *Client) String() string {
	if c.target.context == "" {
		return "the cluster of this pod"
	}
	return fmt.Sprintf("the cluster %q (context %q, %s)", c.target.cluster, c.target.context, c.target.config.Host)
}

// Unattended tells whether the cluster can be asked something that the user did
// not ask for: a context of a kubeconfig names it, and no other program has to
// log in first, which might open a browser or wait for a password.
func (c *Client) Unattended() bool {
	return c.target.context != "" && c.target.config.ExecProvider == nil && c.target.config.AuthProvider == nil
}

// Reach asks the cluster for its version. Its errors say what is wrong between
// here and there.
func (c *Client) Reach(ctx context.Context) (*version.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	body, err := c.Clientset.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return nil, c.explain(err)
	}
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil || info.GitVersion == "" {
		return nil, fmt.Errorf("%s does not answer as Kubernetes does; is the address right?", c)
	}
	return &info, nil
}

// explain says what the user can do about a failed first request.
func (c *Client) explain(err error) error {
	var (
		unknownCA x509.UnknownAuthorityError
		badName   x509.HostnameError
		expired   x509.CertificateInvalidError
		lookup    *net.DNSError
		request   *url.Error
		network   net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s refuses the credentials of the user %q; log in again, or choose another context", c, c.target.user)
	case errors.As(err, &unknownCA), errors.As(err, &badName), errors.As(err, &expired):
		return fmt.Errorf("%s has a certificate that the kubeconfig does not trust: %w", c, err)
	case errors.As(err, &lookup):
		return fmt.Errorf("%s cannot be found: %w; is the context right, and the network there?", c, lookup)
	case errors.As(err, &request) && errors.As(err, &network):
		return fmt.Errorf("%s does not answer: %w; is it running, and is the context right?", c, request.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %s; is it running, and is the context right?", c, reachTimeout)
	default:
		return fmt.Errorf("%s: %w", c, err)
	}
}

// warnings hands on what the server warns of.
type warnings struct{ warn func(string) }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if code != 299 || text == "" {
		return
	}
	if warn, ok := ctx.Value(warnKey{}).(func(string)); ok {
		warn(text)
	} else if w.warn != nil {
		w.warn(text)
	}
}

type warnKey struct{}

// WithWarnings returns a context for requests whose warnings go to warn, and not
// to whom the Options say.
func WithWarnings(ctx context.Context, warn func(string)) context.Context {
	return context.WithValue(ctx, warnKey{}, warn)
}
