// Package placement is the service that tells sidecars where actors live. Every
// sidecar keeps a stream to the replica that leads; when hosts of actors come
// or go, the leader takes all sidecars of the namespace through a round: stop,
// here are the new tables, go on. What it knows is in memory only, for a new
// leader learns it from the sidecars: raft elects the leader and keeps nothing.
package placement

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/service"
)

// Targets of the service's health.
const (
	healthCertificate = "certificate"
	healthLeader      = "leader"
)

// Main is the whole program: see service.Run.
func Main(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
	return service.Run(ctx, service.Options{
		Name: "placement", About: "Placement tells sidecars where actors live.",
		Args: args, Env: env, Stdout: stdout, Stderr: stderr,
	}, func(fs *pflag.FlagSet) service.Body {
		parse := defineFlags(fs, env)
		return func(ctx context.Context, p *service.Process) error {
			o, err := parse()
			if err != nil {
				return err
			}
			return run(ctx, p, o)
		}
	})
}

// run joins the parts and ends with the first that fails.
func run(ctx context.Context, p *service.Process, o *options) error {
	m := newMetrics(p.Metrics)
	d := newDirectory(o, p.Log, m)
	if o.metadata {
		p.Handle("GET /placement/state", http.HandlerFunc(d.serveState))
	}
	var identity *security.Provider
	params := []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: o.keepaliveTime, Timeout: o.keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
	if o.tls {
		var err error
		if identity, err = o.identity(p); err != nil {
			return err
		}
		params = append(params, grpc.Creds(identity.ServerCredentials()))
	}
	l, err := freeport.Listen(o.address, o.port, "--port")
	if err != nil {
		return err
	}
	defer l.Close()
	var peers net.Listener
	if !o.alone() {
		if peers, err = o.listenForPeers(); err != nil {
			return err
		}
		defer peers.Close()
	}
	server := grpc.NewServer(params...)
	placementv1.RegisterPlacementServer(server, &placementServer{directory: d, proved: o.tls})

	p.Health.Set(healthLeader, "none is elected yet")
	g, ctx := errgroup.WithContext(ctx)
	if o.tls {
		p.Health.Set(healthCertificate, "the certificate authority has not answered yet")
		g.Go(func() error { return identity.Run(ctx) })
	}
	g.Go(func() error {
		if o.tls {
			select {
			case <-ctx.Done():
				return nil
			case <-identity.Ready():
				p.Health.Set(healthCertificate, "")
			}
		}
		return elect(ctx, o, &candidate{directory: d, health: p.Health, metrics: m, log: p.Log}, peers, identity)
	})
	g.Go(func() error { return service.ServeGRPC(ctx, l, server) })
	p.Log.Info(fmt.Sprintf("placement %q is listening on %s", o.id, l.Addr()))
	p.Ready()
	return g.Wait()
}

// identity is who placement is to sidecars and to its other replicas.
func (o *options) identity(p *service.Process) (*security.Provider, error) {
	token, err := security.FindToken(p.Env, o.kubernetes)
	if err != nil {
		return nil, err
	}
	id := security.ID{TrustDomain: o.trustDomain, Namespace: o.namespace, AppID: security.Placement}
	sentry := id
	sentry.AppID = security.Sentry
	return security.NewProvider(security.Options{
		ID: id, Sentry: sentry, SentryAddress: o.sentryAddress,
		Anchors: security.AnchorsFromFile(o.anchorsFile), Token: token, Log: p.Log,
	})
}
