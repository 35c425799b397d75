package operator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	operatorv1 "github.com/dapr/dapr/pkg/proto/operator/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/security/authority"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// callers makes clients that prove to be an app.
type callers struct {
	t       *testing.T
	address string
	ca      *authority.Authority
	roots   *x509.CertPool
}

// serveOperator serves the operator's protocol over mutual TLS.
func serveOperator(t *testing.T, r *resources) *callers {
	t.Helper()
	self := security.ID{TrustDomain: "cluster.local", Namespace: "dapr-system", AppID: security.Operator}
	bundle, err := authority.New(authority.Options{ID: self, Now: time.Now()})
	require.NoError(t, err)
	ca, err := authority.Parse(bundle, time.Now())
	require.NoError(t, err)
	c := &callers{t: t, ca: ca, roots: x509.NewCertPool()}
	require.True(t, c.roots.AppendCertsFromPEM(bundle.Anchors))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.address = l.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{c.certificate(self, "operator")}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: c.roots, MinVersion: tls.VersionTLS13,
	})))
	operatorv1.RegisterOperatorServer(server, &operatorServer{resources: r, log: telemetry.Discard(), end: t.Context()})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return c
}

func (c *callers) certificate(id security.ID, names ...string) tls.Certificate {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(c.t, err)
	chain, err := c.ca.Sign(authority.Request{ID: id, Public: key.Public(), DNSNames: names, Now: time.Now(), ClockSkew: time.Minute, TTL: time.Hour})
	require.NoError(c.t, err)
	pair := tls.Certificate{PrivateKey: key}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair
}

// client is one of an app; without an id it proves nothing.
func (c *callers) client(namespace, appID string) operatorv1.OperatorClient {
	c.t.Helper()
	config := &tls.Config{RootCAs: c.roots, ServerName: "operator", MinVersion: tls.VersionTLS13}
	if appID != "" {
		config.Certificates = []tls.Certificate{c.certificate(security.ID{TrustDomain: "public", Namespace: namespace, AppID: appID})}
	}
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = conn.Close() })
	return operatorv1.NewOperatorClient(conn)
}

// stream is what all streams of updates have.
type stream interface {
	Header() (metadata.MD, error)
	Recv() (document []byte, typ operatorv1.ResourceEventType, err error)
}

type updates[E any] struct {
	grpc.ServerStreamingClient[E]
	read func(*E) ([]byte, operatorv1.ResourceEventType)
}

func (u updates[E]) Recv() ([]byte, operatorv1.ResourceEventType, error) {
	e, err := u.ServerStreamingClient.Recv()
	if err != nil {
		return nil, 0, err
	}
	document, typ := u.read(e)
	return document, typ, nil
}

// api is how a kind is asked for.
type api struct {
	kind   string
	list   func(ctx context.Context, c operatorv1.OperatorClient, namespace string) ([][]byte, error)
	follow func(ctx context.Context, c operatorv1.OperatorClient, namespace string) (stream, error)
}

var apis = map[string]api{
	components: {"Component", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.ListComponents(ctx, &operatorv1.ListComponentsRequest{Namespace: ns})
		return res.GetComponents(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.ComponentUpdate(ctx, &operatorv1.ComponentUpdateRequest{Namespace: ns})
		return updates[operatorv1.ComponentUpdateEvent]{s, func(e *operatorv1.ComponentUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetComponent(), e.GetType()
		}}, err
	}},
	configurations: {"Configuration", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.GetConfiguration(ctx, &operatorv1.GetConfigurationRequest{Namespace: ns, Name: "first"})
		return [][]byte{res.GetConfiguration()}, err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.ConfigurationUpdate(ctx, &operatorv1.ConfigurationUpdateRequest{Namespace: ns})
		return updates[operatorv1.ConfigurationUpdateEvent]{s, func(e *operatorv1.ConfigurationUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetConfiguration(), e.GetType()
		}}, err
	}},
	endpoints: {"HTTPEndpoint", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.ListHTTPEndpoints(ctx, &operatorv1.ListHTTPEndpointsRequest{Namespace: ns})
		return res.GetHttpEndpoints(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.HTTPEndpointUpdate(ctx, &operatorv1.HTTPEndpointUpdateRequest{Namespace: ns})
		return updates[operatorv1.HTTPEndpointUpdateEvent]{s, func(e *operatorv1.HTTPEndpointUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetHttpEndpoints(), e.GetType()
		}}, err
	}},
	mcpServers: {"MCPServer", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.ListMCPServers(ctx, &operatorv1.ListMCPServersRequest{Namespace: ns})
		return res.GetMcpServers(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.MCPServerUpdate(ctx, &operatorv1.MCPServerUpdateRequest{Namespace: ns})
		return updates[operatorv1.MCPServerUpdateEvent]{s, func(e *operatorv1.MCPServerUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetMcpServer(), e.GetType()
		}}, err
	}},
	resiliencies: {"Resiliency", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		one, err := c.GetResiliency(ctx, &operatorv1.GetResiliencyRequest{Namespace: ns, Name: "first"})
		if err != nil {
			return nil, err
		}
		res, err := c.ListResiliency(ctx, &operatorv1.ListResiliencyRequest{Namespace: ns})
		if got := res.GetResiliencies(); len(got) == 1 && string(got[0]) != string(one.GetResiliency()) {
			return [][]byte{one.GetResiliency(), got[0]}, err
		}
		return res.GetResiliencies(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.ResiliencyUpdate(ctx, &operatorv1.ResiliencyUpdateRequest{Namespace: ns})
		return updates[operatorv1.ResiliencyUpdateEvent]{s, func(e *operatorv1.ResiliencyUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetResiliency(), e.GetType()
		}}, err
	}},
	subscriptions: {"Subscription", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.ListSubscriptionsV2(ctx, &operatorv1.ListSubscriptionsRequest{Namespace: ns})
		return res.GetSubscriptions(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.SubscriptionUpdate(ctx, &operatorv1.SubscriptionUpdateRequest{Namespace: ns})
		return updates[operatorv1.SubscriptionUpdateEvent]{s, func(e *operatorv1.SubscriptionUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetSubscription(), e.GetType()
		}}, err
	}},
	accessPolicies: {"WorkflowAccessPolicy", func(ctx context.Context, c operatorv1.OperatorClient, ns string) ([][]byte, error) {
		res, err := c.ListWorkflowAccessPolicy(ctx, &operatorv1.ListWorkflowAccessPolicyRequest{Namespace: ns})
		return res.GetPolicies(), err
	}, func(ctx context.Context, c operatorv1.OperatorClient, ns string) (stream, error) {
		s, err := c.WorkflowAccessPolicyUpdate(ctx, &operatorv1.WorkflowAccessPolicyUpdateRequest{Namespace: ns})
		return updates[operatorv1.WorkflowAccessPolicyUpdateEvent]{s, func(e *operatorv1.WorkflowAccessPolicyUpdateEvent) ([]byte, operatorv1.ResourceEventType) {
			return e.GetPolicy(), e.GetType()
		}}, err
	}},
}

func TestEveryKindIsListedAndFollowedByIdentity(t *testing.T) {
	c := startCluster(t)
	made := func(plural, namespace, name string) {
		version := "dapr.io/" + versions[plural]
		c.api.Add("/apis/"+version+"/namespaces/"+namespace+"/"+plural,
			object(t, `{"apiVersion":"`+version+`","kind":"`+apis[plural].kind+`","metadata":{"name":"`+name+`"}}`))
	}
	require.Len(t, apis, len(versions))
	for plural := range versions {
		made(plural, "shop", "first")
		made(plural, "bank", "foreign")
	}
	to := serveOperator(t, startResources(t, c))
	shop, nobody := to.client("shop", "orders"), to.client("", "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for plural, a := range apis {
		t.Run(plural, func(t *testing.T) {
			documents, err := a.list(ctx, shop, "shop")
			require.NoError(t, err)
			require.Len(t, documents, 1)
			require.Equal(t, "first", object(t, string(documents[0])).GetName())
			require.Equal(t, a.kind, object(t, string(documents[0])).GetKind())

			_, err = a.list(ctx, shop, "bank")
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
			_, err = a.list(ctx, nobody, "shop")
			require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
			refused, err := a.follow(ctx, shop, "bank")
			require.NoError(t, err)
			_, _, err = refused.Recv()
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)

			follows, err := a.follow(ctx, shop, "shop")
			require.NoError(t, err)
			_, err = follows.Header()
			require.NoError(t, err)
			made(plural, "bank", "second-foreign")
			made(plural, "shop", "second")
			document, typ, err := follows.Recv()
			require.NoError(t, err)
			require.Equal(t, "second", object(t, string(document)).GetName())
			require.Equal(t, operatorv1.ResourceEventType_CREATED, typ)
			require.NoError(t, c.resources(plural).Delete(ctx, "shop", "second"))
			document, typ, err = follows.Recv()
			require.NoError(t, err)
			require.Equal(t, "second", object(t, string(document)).GetName())
			require.Equal(t, operatorv1.ResourceEventType_DELETED, typ)
		})
	}

	// Old sidecars name no namespace.
	res, err := shop.ListSubscriptions(ctx, &emptypb.Empty{})
	require.NoError(t, err)
	require.Len(t, res.GetSubscriptions(), 1)
	require.Contains(t, string(res.GetSubscriptions()[0]), `"namespace":"shop"`)
	_, err = nobody.ListSubscriptions(ctx, &emptypb.Empty{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}
