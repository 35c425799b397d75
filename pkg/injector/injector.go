// Package injector is the service that puts a sidecar into pods: a mutating
// webhook of Kubernetes around package inject. It keeps the cluster's webhook
// configuration pointed at its own certificates.
package injector

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/service"
)

// linger is how long pods are still served after the request to end: until the
// API server has learned that it must ask another replica. A pod that is not
// served starts without a sidecar.
const linger = 3 * time.Second

// targets of the service's health.
const (
	healthCertificate = "certificate"
	healthWebhook     = "webhook configuration"
)

// Main is the whole program: see service.Run.
func Main(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
	return service.Run(ctx, service.Options{
		Name: "injector", About: "The injector puts sidecars into pods.",
		Args: args, Env: env, Stdout: stdout, Stderr: stderr,
	}, func(fs *pflag.FlagSet) service.Body {
		port := service.Port(fs, "port", 4000, "port of the webhook")
		address := fs.String("listen-address", "", "address of the webhook; none: all")
		scheduler := fs.Bool("scheduler-enabled", true, "tell sidecars where the scheduler is")
		kubeconfig := fs.String("kubeconfig", "", "file with the way into the cluster; none: this pod's own")
		return func(ctx context.Context, p *service.Process) error {
			o, err := optionsFrom(env)
			if err != nil {
				return err
			}
			o.settings.Scheduler = *scheduler
			config, err := kubeapi.Config(*kubeconfig, "")
			if err != nil {
				return service.Usagef("%v", err)
			}
			return run(ctx, p, o, config, *address, *port)
		}
	})
}

// run joins the parts and ends with the first that fails.
func run(ctx context.Context, p *service.Process, o *options, config *rest.Config, address string, port int) error {
	cluster, err := newCluster(config, o.settings.Namespace)
	if err != nil {
		return err
	}
	identity, err := o.identity(p)
	if err != nil {
		return err
	}
	l, err := freeport.Listen(address, port, "--port")
	if err != nil {
		return err
	}
	keeper := newKeeper(p, cluster, identity.Anchors(), o.settings)
	hook := &webhook{
		log: p.Log, metrics: newMetrics(p.Metrics), requesters: o.requesters,
		settings: keeper.Settings, components: cluster.containers,
	}
	mux := http.NewServeMux()
	mux.Handle("POST /mutate", hook)

	p.Health.Set(healthCertificate, "the certificate authority has not answered yet")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return identity.Run(ctx) })
	g.Go(func() error { return keeper.run(ctx) })
	g.Go(func() error {
		select {
		case <-identity.Ready():
			p.Health.Set(healthCertificate, "")
		case <-ctx.Done():
		}
		return nil
	})
	g.Go(func() error {
		serving, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(linger, end) })()
		return service.ServeHTTPS(serving, l, mux, security.OpenServerConfig(identity))
	})
	p.Log.Info(fmt.Sprintf("the webhook is listening on %s", l.Addr()))
	p.Ready()
	return g.Wait()
}

// identity is who the injector is to the cluster's certificate authority, whose
// certificates the webhook shows.
func (o *options) identity(p *service.Process) (*security.Provider, error) {
	token, err := security.FindToken(p.Env, true)
	if err != nil {
		return nil, err
	}
	id := security.ID{TrustDomain: o.settings.TrustDomain, Namespace: o.settings.Namespace, AppID: security.Injector}
	sentry := id
	sentry.AppID = security.Sentry
	return security.NewProvider(security.Options{
		ID: id, Sentry: sentry, SentryAddress: o.sentryAddress,
		Anchors: security.AnchorsFromFile(o.anchorsFile), Token: token, Log: p.Log,
	})
}
