// Package invoke is service invocation: a call of an app by its id goes through
// this sidecar and the other app's, over HTTP or gRPC, in either direction of a
// stream.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	contrib "github.com/dapr/components-contrib/nameresolution"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/nameresolution"
	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/resiliency"
	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Options are what the block needs of the sidecar.
type Options struct {
	// AppID and Namespace are this sidecar's.
	AppID, Namespace string
	// App is this sidecar's app; nil when it takes no calls.
	App *app.Channel
	// Resolver finds other sidecars. The block closes it.
	Resolver nameresolution.Resolver
	// InternalPort is the port that sidecars use among themselves where the
	// resolver does not know it (DNS).
	InternalPort int
	// HostAddress is this host's, for the forwarded headers; empty leaves them out.
	HostAddress string
	// Endpoints are the servers outside that can be called by name.
	Endpoints []Endpoint
	// Credentials secure the connections to other sidecars; nil is plain text.
	Credentials func(peer.Target) credentials.TransportCredentials
	// Access is who may call the app through this sidecar; nil is everybody.
	Access *security.Policy
	// MaxBodySize bounds a body that must be held in memory, in bytes; 4 MiB
	// when 0.
	MaxBodySize int
	// Retry is the policy of calls of other sidecars; nil is the protocol's
	// built-in one.
	Retry *resiliency.Policy
	// Metrics registers the block's metrics; nil does not.
	Metrics *telemetry.Metrics
}

// Block is service invocation, of both the calling and the called sidecar. It
// is safe for concurrent use.
type Block struct {
	o         Options
	peers     *peer.Client
	endpoints component.Set[*endpoint]
	urls      *http.Transport // for targets that are URLs
	retry     resiliency.Policy
	metrics   *metrics

	// What is added to every request, made once.
	caller, callerNamespace, forwardedFor, forwardedHost, forwarded []string
}

var _ peer.Handler = (*Block)(nil)

// New returns a block; it connects when it is used. An error names an endpoint
// that is not valid.
func New(o Options) (*Block, error) {
	if o.MaxBodySize <= 0 {
		o.MaxBodySize = 4 << 20
	}
	b := &Block{
		o:       o,
		peers:   peer.NewClient(peer.ClientOptions{Credentials: o.Credentials, MaxBodySize: o.MaxBodySize}),
		urls:    newTransport(nil),
		retry:   resiliency.ServiceRetries(),
		metrics: newMetrics(o.Metrics),
		caller:  []string{o.AppID},
	}
	if o.Retry != nil {
		b.retry = *o.Retry
	}
	if o.Namespace != "" {
		b.callerNamespace = []string{o.Namespace}
	}
	if o.HostAddress != "" {
		host, _ := os.Hostname() // without one, the address has to do
		b.forwardedFor = []string{o.HostAddress}
		b.forwardedHost = []string{host}
		b.forwarded = []string{fmt.Sprintf("for=%[1]s;by=%[1]s;host=%[2]s", o.HostAddress, host)}
	}
	for _, e := range o.Endpoints {
		if err := b.SetEndpoint(e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Close ends all connections and closes the resolver.
func (b *Block) Close() error {
	b.urls.CloseIdleConnections()
	for _, name := range b.endpoints.Names() {
		if e, open := b.endpoints.Delete(name); open {
			e.transport.CloseIdleConnections()
		}
	}
	err := b.peers.Close()
	if b.o.Resolver != nil {
		err = errors.Join(err, b.o.Resolver.Close())
	}
	return err
}

// Invoke calls the target's method, which is the request's path. The target is
// an app id, "app.namespace", the name of an endpoint, or an http or https URL.
// The request's header is the block's from then on. Close the response. The
// error, when there is one, is an *apierror.Error.
func (b *Block) Invoke(ctx context.Context, target string, req *app.Request) (*app.Response, error) {
	resp, err := b.invoke(ctx, target, req)
	if err != nil {
		return nil, errInvoke(target, err)
	}
	return resp, nil
}

func (b *Block) invoke(ctx context.Context, target string, req *app.Request) (*app.Response, error) {
	var err error
	if req.Path, err = normalize(req.Path); err != nil {
		return nil, err
	}
	if e, ok := b.endpoints.Get(target); ok {
		return e.invoke(ctx, req)
	}
	if reason := b.endpoints.Pending(target); reason != nil {
		return nil, fmt.Errorf("the HTTP endpoint is declared but not ready: %w", reason)
	}
	if isURL(target) {
		return b.invokeURL(ctx, target, req)
	}
	callee, err := b.parse(target)
	if err != nil {
		return nil, err
	}
	b.stamp(req.Header, callee)
	if b.isSelf(callee) {
		return b.invokeApp(ctx, req)
	}
	return b.invokePeer(ctx, callee, req)
}

func (b *Block) isSelf(c callee) bool { return c.appID == b.o.AppID && c.namespace == b.o.Namespace }

// stamp says in the header who calls whom.
func (b *Block) stamp(h http.Header, c callee) {
	to := []string{c.appID}
	h["Dapr-Caller-App-Id"] = b.caller
	h["Dapr-Callee-App-Id"] = to
	h["Destination-App-Id"] = to
	if b.callerNamespace == nil {
		delete(h, "Dapr-Caller-Namespace") // only a sidecar says this
	} else {
		h["Dapr-Caller-Namespace"] = b.callerNamespace
	}
	if b.forwarded == nil {
		return
	}
	addForwarded(h, "X-Forwarded-For", b.forwardedFor)
	addForwarded(h, "Forwarded", b.forwarded)
	if _, set := h["X-Forwarded-Host"]; !set {
		h["X-Forwarded-Host"] = b.forwardedHost
	}
}

// addForwarded adds to a list of hops.
func addForwarded(h http.Header, name string, hop []string) {
	if before := h[name]; len(before) > 0 {
		hop = []string{before[len(before)-1] + ", " + hop[0]}
		if len(before) > 1 {
			hop = append(before[:len(before)-1:len(before)-1], hop...)
		}
	}
	h[name] = hop
}

var errNoApp = errors.New("the app takes no calls: give the port it listens on with --app-port")

func (b *Block) invokeApp(ctx context.Context, req *app.Request) (*app.Response, error) {
	if b.o.App == nil {
		return nil, status.Error(codes.Internal, errNoApp.Error())
	}
	return b.o.App.Invoke(ctx, req)
}

// invokePeer goes to the sidecar of another app. A request that can be sent
// again is, as the policy says.
func (b *Block) invokePeer(ctx context.Context, c callee, req *app.Request) (*app.Response, error) {
	policy := b.retry
	if !req.Replayable() {
		policy = resiliency.Policy{}
	}
	metrics := b.metrics.callee(c.appID)
	var resp *app.Response
	err := resiliency.Do(ctx, policy, func(ctx context.Context) error {
		to, err := b.resolve(ctx, c)
		if err != nil {
			return err
		}
		metrics.sentUnary.Inc()
		start := time.Now()
		if resp, err = b.peers.Invoke(ctx, to, req); err != nil {
			metrics.received(int(status.Code(err)), time.Since(start))
			b.lost(c, to, err)
			return err
		}
		metrics.received(resp.Status, time.Since(start))
		return nil
	})
	return resp, err
}

func (b *Block) resolve(ctx context.Context, c callee) (peer.Target, error) {
	if b.o.Resolver == nil {
		return peer.Target{}, errors.New("there is no name resolution")
	}
	address, err := b.o.Resolver.ResolveID(ctx, contrib.ResolveRequest{ID: c.appID, Namespace: c.namespace, Port: b.o.InternalPort})
	return peer.Target{Address: address, AppID: c.appID, Namespace: c.namespace}, err
}

// lost makes the next call look again for a sidecar that was not there.
func (b *Block) lost(c callee, to peer.Target, err error) {
	if status.Code(err) != codes.Unavailable {
		return
	}
	b.peers.Forget(to)
	if r, ok := b.o.Resolver.(nameresolution.Invalidator); ok {
		r.Invalidate(c.appID, c.namespace)
	}
}

// ServeInvoke answers a call of another sidecar: it implements peer.Handler.
func (b *Block) ServeInvoke(ctx context.Context, req *app.Request) (*app.Response, error) {
	var err error
	// The other sidecar may be of another make: nothing is taken on trust.
	if req.Path, err = normalize(req.Path); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	says := claim{req.Header.Get("Dapr-Caller-App-Id"), req.Header.Get("Dapr-Caller-Namespace")}
	metrics := b.metrics.caller(says.appID)
	metrics.received.Inc()
	if err := b.admit(ctx, says, req.Path, req.Verb); err != nil {
		metrics.sent(int(status.Code(err)))
		return nil, err
	}
	resp, err := b.invokeApp(ctx, req)
	if err != nil {
		// "Unavailable" would mean that this sidecar cannot be reached, and be
		// tried again.
		if status.Code(err) == codes.Unavailable {
			err = status.Error(codes.Internal, plain{err}.Error())
		}
		metrics.sent(int(status.Code(err)))
		return nil, err
	}
	metrics.sent(resp.Status)
	return resp, nil
}

// readAll reads a response's body to the end, and closes the response.
func (b *Block) readAll(resp *app.Response) ([]byte, error) {
	defer resp.Close()
	if resp.Body == nil {
		return resp.Data, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Reader(), int64(b.o.MaxBodySize)+1))
	if err == nil && len(data) > b.o.MaxBodySize {
		err = status.Errorf(codes.ResourceExhausted, "the response's body is over %d bytes, the most that fits in one message: raise --max-body-size", b.o.MaxBodySize)
	}
	return data, err
}
