// Package sentry is the certificate authority of the protocol: it checks who
// asks, signs their certificates and JWTs, keeps its own root and issuer where
// all replicas share them, and publishes the keys that JWTs are checked with.
package sentry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	sentryv1 "github.com/dapr/dapr/pkg/proto/sentry/v1"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/service"
)

// How often material and Configuration are read anew.
const (
	clusterInterval = 10 * time.Second
	filesInterval   = 2 * time.Second
)

// maxRequest is the size of the largest request, in bytes: an id, a token and a
// CSR are a few kilobytes.
const maxRequest = 256 << 10

// Main is the whole program: see service.Run.
func Main(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
	return run(ctx, args, env, stdout, stderr, connect)
}

// connector returns the cluster to work in.
type connector func(kubeconfig string, given bool) (*cluster, error)

func run(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer, connect connector) error {
	return service.Run(ctx, service.Options{
		Name: "sentry", About: "sentry is the certificate authority: it gives sidecars and services their identity.",
		Args: args, Env: env, Stdout: stdout, Stderr: stderr,
	}, func(fs *pflag.FlagSet) service.Body {
		o := newOptions(fs, env)
		return func(ctx context.Context, p *service.Process) error {
			if err := o.finish(fs); err != nil {
				return err
			}
			s, err := newSentry(ctx, o, p, connect)
			if err != nil {
				return err
			}
			return s.run(ctx)
		}
	})
}

// sentry is the service, ready to run.
type sentry struct {
	o      *options
	p      *service.Process
	self   security.ID
	keeper *keeper
	server *server
}

func newSentry(ctx context.Context, o *options, p *service.Process, connect connector) (*sentry, error) {
	var c *cluster
	var err error
	interval, read := filesInterval, settingsFromFile(o.config, o.configGiven)
	var kept store = fileStore{o.credentials, o.names}
	if o.mode == modeKubernetes {
		if c, err = connect(o.kubeconfig, o.kubeconfigGiven); err != nil {
			return nil, err
		}
		interval, read = clusterInterval, settingsFromCluster(c, o.namespace, o.config)
		kept = secretStore{c.secrets, c.configMaps, o.namespace, o.names}
	}
	// The name of the authority and how tokens are checked are settled once.
	first, err := read(ctx)
	if err != nil {
		return nil, err
	}
	self := security.ID{TrustDomain: o.trustDomain, Namespace: o.namespace, AppID: security.Sentry}
	if !o.trustDomainGiven && first.trustDomain != "" {
		self.TrustDomain = first.trustDomain
	}
	if err := self.Validate(); err != nil {
		return nil, service.Usagef("--trust-domain: %v", err)
	}
	m := newMetrics(p.Metrics)
	s := &sentry{o: o, p: p, self: self}
	s.keeper = &keeper{
		self: self, store: kept, settings: read, interval: interval,
		maker:  maker{options: authority.Options{ID: self}, jwt: o.jwt, now: time.Now},
		health: p.Health, metrics: m, log: p.Log,
	}
	s.server = &server{keeper: s.keeper, metrics: m, log: p.Log}
	return s, s.addValidators(first.validators, c, connect)
}

// addValidators makes the validators that the Configuration names. When it names
// none, pods are checked in Kubernetes, and elsewhere everybody is believed.
func (s *sentry) addValidators(named []resource.TokenValidator, c *cluster, connect connector) error {
	type name = sentryv1.SignCertificateRequest_TokenValidator
	s.server.validators = make(map[name]validator)
	add := func(n name, v validator) {
		if len(s.server.validators) == 0 {
			s.server.byDefault = n
		}
		s.server.validators[n] = v
	}
	if s.o.mode == modeKubernetes {
		add(sentryv1.SignCertificateRequest_KUBERNETES, &podTokens{c, s.self})
	}
	for _, v := range named {
		switch strings.ToLower(v.Name) {
		case "jwks":
			o, err := readJWKSOptions(v.Options)
			if err != nil {
				return err
			}
			add(sentryv1.SignCertificateRequest_JWKS, newJWKS(o, s.self, s.p.Log))
		case "kubernetes":
			if c == nil {
				var err error
				if c, err = connect(s.o.kubeconfig, s.o.kubeconfigGiven); err != nil {
					return fmt.Errorf("token validator kubernetes: %w", err)
				}
			}
			add(sentryv1.SignCertificateRequest_KUBERNETES, &podTokens{c, s.self})
		default:
			return fmt.Errorf("spec.mtls.tokenValidators: %q is not known: use jwks or kubernetes", v.Name)
		}
	}
	if len(s.server.validators) == 0 {
		s.p.Log.Warn("every request for a certificate is believed: that is for one machine, not for a network")
		add(sentryv1.SignCertificateRequest_INSECURE, believing{})
	}
	return nil
}

// run serves until the context ends.
func (s *sentry) run(ctx context.Context) error {
	l, err := freeport.Listen(s.o.listenAddress, *s.o.port, "--port")
	if err != nil {
		return err
	}
	defer l.Close() // Serve closes it too
	// Files are at hand: a mistake in them ends the process. A cluster may not be.
	if s.o.mode == modeStandalone {
		if err := s.keeper.refresh(ctx); err != nil {
			return err
		}
	}
	s.p.Health.Set(bundleTarget, "not loaded yet")

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.keeper.run(ctx) })
	for _, v := range s.server.validators {
		g.Go(func() error { return v.run(ctx) })
	}
	config := security.OpenServerConfig(s.keeper) // who asks has no certificate yet
	config.MinVersion = tls.VersionTLS13
	api := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)), grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute}),
	)
	sentryv1.RegisterCAServer(api, s.server)
	g.Go(func() error { return service.ServeGRPC(ctx, l, api) })
	if err := s.serveOIDC(ctx, g); err != nil {
		// What runs already ends with the context.
		g.Go(func() error { return err })
		return g.Wait()
	}
	s.p.Log.Info(fmt.Sprintf("%s is listening on %s", s.self, l.Addr()))
	s.p.Ready()
	return g.Wait()
}

func (s *sentry) serveOIDC(ctx context.Context, g *errgroup.Group) error {
	o := s.o.oidc
	if o == nil {
		return nil
	}
	config, err := s.o.oidcTLS(s.keeper)
	if err != nil {
		return err
	}
	l, err := freeport.Listen(s.o.oidcAddress, *s.o.oidcPort, "--oidc-server-listen-port")
	if err != nil {
		return err
	}
	handler := newOIDC(*o, s.keeper)
	g.Go(func() error {
		if config == nil {
			return service.ServeHTTP(ctx, l, handler)
		}
		return service.ServeHTTPS(ctx, l, handler, config)
	})
	s.p.Log.Info(fmt.Sprintf("OIDC server is listening on %s", l.Addr()))
	return nil
}

// oidcTLS is nil for plain HTTP. Without files the certificate authority's own
// certificate serves.
func (o *options) oidcTLS(k *keeper) (*tls.Config, error) {
	if !o.oidc.tls {
		return nil, nil //nolint:nilnil // no TLS is a way to serve
	}
	if o.oidcCert == "" {
		return security.OpenServerConfig(k), nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(o.oidcCert, o.oidcKey)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("--oidc-server-tls-cert-file and --oidc-server-tls-key-file: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Read for every handshake, which are few: the files may be replaced.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}, nil
}

// namespaceFile says in which namespace a pod is.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// ownNamespace is where the control plane is.
func ownNamespace(env service.LookupEnv) string {
	if ns := env.Get("NAMESPACE"); ns != "" {
		return ns
	}
	if data, err := os.ReadFile(namespaceFile); err == nil && len(strings.TrimSpace(string(data))) > 0 {
		return strings.TrimSpace(string(data))
	}
	return "default"
}
