// Package operator is the service that sidecars in Kubernetes get their
// resources from, live, each what is in its namespace and scope. It also keeps
// a service for every app, and has pods that missed their sidecar made anew.
package operator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"k8s.io/client-go/rest"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/kubeapi"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/service"
)

// options are what the flags say.
type options struct {
	namespace        string // of the control plane
	configuration    string
	watchNamespace   string // empty: all
	watchInterval    time.Duration
	watchOnce        bool
	restartsPerMin   int
	noLeaderElection bool
	noServices       bool
	rollouts         bool
	patchLabels      bool
	anchorsFile      string
	port             int
	address          string
	webhookPort      int
	webhookAddress   string
	webhooks         bool
}

// Targets of the service's health.
const (
	healthCertificate = "certificate"
	healthResources   = "resources"
)

// Main is the whole program: see service.Run.
func Main(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
	return service.Run(ctx, service.Options{
		Name: "operator", About: "The operator gives sidecars in Kubernetes their resources.",
		Args: args, Env: env, Stdout: stdout, Stderr: stderr,
	}, func(fs *pflag.FlagSet) service.Body {
		o := options{namespace: env.Get("NAMESPACE"), webhooks: env.Get("ENABLE_WEBHOOKS") != "false"}
		fs.StringVar(&o.configuration, "config", "daprsystem", "Configuration of the control plane")
		interval := fs.String("watch-interval", "0", "how often to look for pods without their sidecar: a time of 1s or more, once, or 0 for never")
		fs.IntVar(&o.restartsPerMin, "max-pod-restarts-per-minute", 20, "how many of them to delete in a minute")
		fs.BoolVar(&o.noLeaderElection, "disable-leader-election", false, "keep services and watch pods without asking other replicas")
		fs.BoolVar(&o.noServices, "disable-service-reconciler", false, "do not keep a service for every app")
		fs.StringVar(&o.watchNamespace, "watch-namespace", "", "the only namespace with apps; none: all")
		fs.BoolVar(&o.rollouts, "enable-argo-rollout-service-reconciler", false, "keep services for Argo Rollouts, too")
		fs.BoolVar(&o.patchLabels, "watchdog-can-patch-pod-labels", false, "mark pods with their sidecar, so that they are not looked at again")
		fs.StringVar(&o.anchorsFile, "trust-anchors-file", "/var/run/secrets/dapr.io/tls/ca.crt", "PEM file of the roots to trust")
		port := service.Port(fs, "port", 6500, "port for sidecars")
		fs.StringVar(&o.address, "listen-address", "", "address for sidecars; none: all")
		webhookPort := service.Port(fs, "webhook-server-port", 19443, "port of the conversion webhook")
		fs.StringVar(&o.webhookAddress, "webhook-server-listen-address", "", "address of the conversion webhook; none: all")
		kubeconfig := fs.String("kubeconfig", "", "file with the way into the cluster; none: this pod's own")
		return func(ctx context.Context, p *service.Process) error {
			o.port, o.webhookPort = *port, *webhookPort
			if err := o.parseInterval(*interval); err != nil {
				return err
			}
			if o.namespace == "" {
				return service.Usagef("the environment variable NAMESPACE is not set: give it the control plane's namespace, such as dapr-system")
			}
			config, err := kubeapi.Config(*kubeconfig, "")
			if err != nil {
				return service.Usagef("%v", err)
			}
			return run(ctx, p, o, config)
		}
	})
}

func (o *options) parseInterval(s string) error {
	if s == "once" {
		o.watchOnce = true
		return nil
	}
	if s == "0" || s == "" {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		return service.Usagef("--watch-interval %q: use a time of 1s or more, once, or 0 for never", s)
	}
	o.watchInterval = d
	return nil
}

// run joins the parts and ends with the first that fails.
func run(ctx context.Context, p *service.Process, o options, config *rest.Config) error {
	c, err := connect(config, o.watchNamespace)
	if err != nil {
		return err
	}
	identity, err := newIdentity(ctx, p, o, c)
	if err != nil {
		return err
	}
	api, err := freeport.Listen(o.address, o.port, "--port")
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.Creds(identity.ServerCredentials()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute}),
	)
	resources := newResources(c, p.Log)
	apiCtx, endStreams := context.WithCancel(ctx)
	defer endStreams()
	operatorv1.RegisterOperatorServer(server, &operatorServer{resources: resources, log: p.Log, end: apiCtx})

	p.Health.Set(healthCertificate, "the certificate authority has not answered yet")
	p.Health.Set(healthResources, "not read yet")
	complete := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return identity.Run(ctx) })
	g.Go(func() error {
		return resources.run(ctx, func(missing string) {
			p.Health.Set(healthResources, missing)
			if missing == "" {
				close(complete)
			}
		})
	})
	g.Go(func() error {
		select {
		case <-identity.Ready():
			p.Health.Set(healthCertificate, "")
		case <-ctx.Done():
			return nil
		}
		select {
		case <-complete:
		case <-ctx.Done():
			return nil
		}
		return service.ServeGRPC(ctx, api, server)
	})
	if o.webhooks {
		l, err := freeport.Listen(o.webhookAddress, o.webhookPort, "--webhook-server-port")
		if err != nil {
			return err
		}
		mux := http.NewServeMux()
		mux.HandleFunc("POST /convert", convert)
		g.Go(func() error { return service.ServeHTTPS(ctx, l, mux, security.OpenServerConfig(identity)) })
		g.Go(func() error { return keepConversion(ctx, c, identity.Anchors(), p.Log) })
	}
	g.Go(func() error {
		return lead(ctx, c, o, p, func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			if !o.noServices {
				g.Go(func() error { return newServices(c, o, p).run(ctx) })
			}
			g.Go(func() error { return newWatchdog(c, o, p.Log).run(ctx) })
			return g.Wait()
		})
	})
	p.Log.Info(fmt.Sprintf("the operator is listening on %s", api.Addr()))
	p.Ready()
	return g.Wait()
}

// newIdentity is who the operator is. Where the certificate authority is stands
// in the control plane's Configuration.
func newIdentity(ctx context.Context, p *service.Process, o options, c *cluster) (*security.Provider, error) {
	token, err := security.FindToken(p.Env, true)
	if err != nil {
		return nil, err
	}
	config, err := c.configuration(ctx, o.namespace, o.configuration)
	if err != nil {
		return nil, err
	}
	trustDomain := config.Spec.MTLS.ControlPlaneTrustDomain
	if trustDomain == "" {
		trustDomain = "cluster.local"
	}
	address := config.Spec.MTLS.SentryAddress
	if address == "" {
		address = fmt.Sprintf("dapr-sentry.%s.svc:443", o.namespace)
	}
	id := security.ID{TrustDomain: trustDomain, Namespace: o.namespace, AppID: security.Operator}
	sentry := id
	sentry.AppID = security.Sentry
	return security.NewProvider(security.Options{
		ID: id, Sentry: sentry, SentryAddress: address, Anchors: security.AnchorsFromFile(o.anchorsFile), Token: token, Log: p.Log,
	})
}
