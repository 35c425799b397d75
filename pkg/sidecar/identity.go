package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

const (
	// operatorPing finds out that the operator is gone although no packet says so.
	operatorPing = 30 * time.Second
	// operatorPatience is how long one reading of the resources may take.
	operatorPatience = 30 * time.Second
	// builtinSecretStore is the secret store that every sidecar in Kubernetes has.
	builtinSecretStore = "kubernetes"
)

// identity is who the sidecar is to other sidecars and to the control plane. It
// lives as long as the process. Without mTLS there is none.
type identity struct{ provider *security.Provider }

// newIdentity prepares the identity; run gets the certificate.
func (s *Sidecar) newIdentity() (*identity, error) {
	o := s.o
	if !o.EnableMTLS {
		return nil, nil //nolint:nilnil // no identity is a way to run
	}
	anchors, err := security.NewAnchors([]byte(o.TrustAnchors))
	if err != nil {
		return nil, fmt.Errorf("environment variable DAPR_TRUST_ANCHORS: %w", err)
	}
	token, err := security.FindToken(s.lookupEnv, o.Mode == ModeKubernetes)
	if err != nil {
		return nil, err
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = "default"
	}
	provider, err := security.NewProvider(security.Options{
		ID:            security.ID{TrustDomain: security.DefaultTrustDomain, Namespace: namespace, AppID: o.AppID},
		Sentry:        s.controlPlane(security.Sentry),
		SentryAddress: o.SentryAddress, Anchors: anchors, Token: token, JWTAudiences: o.JWTAudiences,
		Log: telemetry.Scope(s.base, "dapr.runtime.security"),
	})
	if err != nil {
		return nil, err
	}
	return &identity{provider}, nil
}

// controlPlane is the id of one of the control plane's services.
func (s *Sidecar) controlPlane(service string) security.ID {
	return security.ID{TrustDomain: s.o.ControlPlaneTrustDomain, Namespace: s.o.ControlPlaneNamespace, AppID: service}
}

// start gets the first certificate and keeps it fresh until the context ends.
func (i *identity) start(ctx context.Context, s *Sidecar) error {
	s.log.Info("waiting for a certificate of the certificate authority at " + s.o.SentryAddress)
	ended := make(chan error, 1)
	go func() { ended <- i.provider.Run(ctx) }()
	select {
	case <-i.provider.Ready():
		s.log.Info("this sidecar is " + i.provider.ID().String())
		return nil
	case err := <-ended:
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the process ends before it began
		}
		return err
	}
}

// server secures the server for other sidecars; nil is plain text.
func (i *identity) server() credentials.TransportCredentials {
	if i == nil {
		return nil
	}
	return i.provider.ServerCredentials()
}

// peers secures connections to other sidecars; nil is plain text.
func (i *identity) peers() func(peer.Target) credentials.TransportCredentials {
	if i == nil {
		return nil
	}
	return func(t peer.Target) credentials.TransportCredentials {
		namespace := t.Namespace
		if namespace == "" { // a caller that names none means its own
			namespace = i.provider.ID().Namespace
		}
		return i.provider.ClientCredentials(security.App(namespace, t.AppID))
	}
}

// operator is the source of resources in Kubernetes. Close the connection.
func (s *Sidecar) operator() (source, *grpc.ClientConn, error) {
	o := s.o
	if s.identity == nil {
		return nil, nil, errors.New("--mode kubernetes needs --enable-mtls: the operator sends resources only to whom a certificate names")
	}
	if len(o.ConfigPaths) > 1 {
		return nil, nil, fmt.Errorf("--config %q: in Kubernetes it is the name of one Configuration", o.ConfigPaths)
	}
	conn, err := grpc.NewClient(o.ControlPlaneAddress,
		grpc.WithTransportCredentials(s.identity.provider.ClientCredentials(security.Exactly(s.controlPlane(security.Operator)))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: operatorPing, Timeout: operatorPing}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("--control-plane-address %q: %w", o.ControlPlaneAddress, err)
	}
	from := resource.Operator{
		Client: operatorv1.NewOperatorClient(conn), Namespace: o.Namespace, Filter: resource.Filter{AppID: o.AppID, Namespace: o.Namespace},
	}
	if len(o.ConfigPaths) == 1 {
		from.Configuration = o.ConfigPaths[0]
	}
	return from, conn, nil
}
