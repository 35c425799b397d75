// Package app is the user's app behind one Channel, whether it speaks HTTP or
// gRPC: calls, health checks, and waiting until it listens.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/nearest"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// Protocol is what the app speaks on its port.
type Protocol string

// The protocols of --app-protocol.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	H2C   Protocol = "h2c"
	GRPC  Protocol = "grpc"
	GRPCS Protocol = "grpcs"
)

// ParseProtocol reads a protocol's name; empty means http.
func ParseProtocol(s string) (Protocol, error) {
	names := []string{string(HTTP), string(HTTPS), string(H2C), string(GRPC), string(GRPCS)}
	switch p := Protocol(s); p {
	case "":
		return HTTP, nil
	case HTTP, HTTPS, H2C, GRPC, GRPCS:
		return p, nil
	}
	err := fmt.Errorf("app protocol %q is not one of http, https, h2c, grpc, grpcs", s)
	if n := nearest.Name(s, names); n != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, n)
	}
	return "", err
}

// IsHTTP tells whether calls are HTTP requests, over any version of it.
func (p Protocol) IsHTTP() bool { return p != GRPC && p != GRPCS }

func (p Protocol) secure() bool { return p == HTTPS || p == GRPCS }

var (
	// ErrUnhealthy refuses calls while the app fails its health checks.
	ErrUnhealthy = status.Error(codes.Internal, "app is not in a healthy state")
	// ErrNotListening is in the chain of an error of a call that found nobody on
	// the app's port.
	ErrNotListening = errors.New("the app is not listening")
)

// Options says where the app is and how to talk to it.
type Options struct {
	// Protocol is HTTP when empty.
	Protocol Protocol
	// Host is 127.0.0.1 when empty.
	Host string
	// Port is the app's port; required.
	Port int
	// MaxConcurrency bounds the calls that run at once; 0 and less is no bound.
	MaxConcurrency int
	// Token, when set, tells the app that it is the sidecar who calls. It is the
	// value of APP_API_TOKEN, sent as the header dapr-api-token.
	Token string
	// MaxBodySize bounds one message of a gRPC app, in bytes; 4 MiB when 0.
	MaxBodySize int
	// Health enables health checks.
	Health *HealthOptions
	// Logger gets what happens to the app; nil discards it.
	Logger *slog.Logger
}

const defaultMaxBodySize = 4 << 20

func (o *Options) setDefaults() error {
	if o.Protocol == "" {
		o.Protocol = HTTP
	}
	if o.Host == "" {
		o.Host = loopback
	}
	if o.Port < 1 || o.Port > 65535 {
		return fmt.Errorf("app port %d is not between 1 and 65535", o.Port)
	}
	if o.MaxBodySize <= 0 {
		o.MaxBodySize = defaultMaxBodySize
	}
	if o.Logger == nil {
		o.Logger = telemetry.Discard()
	}
	if o.Health != nil {
		if err := o.Health.Validate(); err != nil {
			return err
		}
		h := *o.Health
		h.setDefaults()
		o.Health = &h
	}
	return nil
}

// transport is the part of a channel that differs between HTTP and gRPC.
//
// invoke may be called from many goroutines. It owns the request's header; the
// response's body, if it has one, is the caller's to close.
type transport interface {
	invoke(ctx context.Context, req *Request) (*Response, error)
	probe(ctx context.Context) error
	close() error
}

// Channel is the way to the app. It is safe for concurrent use. The app may
// stop, start again and change while the channel stays the same.
type Channel struct {
	options Options
	address string
	app     transport
	grpc    *grpcApp      // nil for an HTTP app
	slots   chan struct{} // nil without a bound
	health  *Health       // nil without health checks
}

// New returns a channel; it does not connect.
func New(o Options) (*Channel, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	c := &Channel{options: o, address: net.JoinHostPort(o.Host, strconv.Itoa(o.Port))}
	if o.Protocol.IsHTTP() {
		c.app = newHTTPApp(o, c.address)
	} else {
		a, err := newGRPCApp(o, c.address)
		if err != nil {
			return nil, err
		}
		c.app, c.grpc = a, a
	}
	if o.MaxConcurrency > 0 {
		c.slots = make(chan struct{}, o.MaxConcurrency)
	}
	if o.Health != nil {
		c.health = newHealth(*o.Health, c.app.probe, o.Logger)
	}
	return c, nil
}

// Close ends idle connections.
func (c *Channel) Close() error { return c.app.close() }

// Protocol is what the app speaks.
func (c *Channel) Protocol() Protocol { return c.options.Protocol }

// Address is the app's "host:port".
func (c *Channel) Address() string { return c.address }

// Health is the app's health checks; nil when they are not enabled.
func (c *Channel) Health() *Health { return c.health }

// Invoke calls the app. It waits for a free slot when there is a bound on
// concurrency, until ctx ends. The request's header is the channel's from then
// on. Close the response.
func (c *Channel) Invoke(ctx context.Context, req *Request) (*Response, error) {
	release, err := c.acquire(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.app.invoke(ctx, req)
	if err != nil {
		release()
		return nil, c.explain(err)
	}
	if resp.Body == nil {
		release()
	} else if c.slots != nil {
		resp.Body = &releasingBody{ReadCloser: resp.Body, release: release}
	}
	return resp, nil
}

// Conn is the connection to a gRPC app, for calls that are passed on as they
// are. Such a call counts as one against the bound on concurrency: call release
// when it is over.
func (c *Channel) Conn(ctx context.Context) (conn *grpc.ClientConn, release func(), err error) {
	if c.grpc == nil {
		return nil, nil, status.Errorf(codes.FailedPrecondition, "the app speaks %s: gRPC calls reach only an app with --app-protocol grpc or grpcs", c.options.Protocol)
	}
	if release, err = c.acquire(ctx); err != nil {
		return nil, nil, err
	}
	if err := c.grpc.ready(ctx); err != nil {
		release()
		return nil, nil, status.Error(codes.Unavailable, c.explain(err).Error())
	}
	return c.grpc.conn, release, nil
}

// Authorize adds to the metadata of a call on Conn what tells the app that it is
// the sidecar who calls.
func (c *Channel) Authorize(md metadata.MD) {
	if c.grpc != nil {
		c.grpc.authorize(md)
	}
}

func (c *Channel) acquire(ctx context.Context) (release func(), err error) {
	if c.health != nil && !c.health.Healthy() {
		return nil, ErrUnhealthy
	}
	if c.slots == nil {
		return func() {}, nil
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// explain says what the user can do about an app that is not there.
func (c *Channel) explain(err error) error {
	if !errors.Is(err, connectionRefused) && !errors.Is(err, ErrNotListening) {
		return err
	}
	return fmt.Errorf("%w on %s: start it, or give the port it listens on with --app-port", ErrNotListening, c.address)
}

// WaitListening returns when the app accepts connections on its port, or with
// ctx's error.
func (c *Channel) WaitListening(ctx context.Context) error {
	const poll = 20 * time.Millisecond
	l := c.options.Logger
	if !listening(ctx, c.address) {
		l.Info(fmt.Sprintf("application protocol: %s. waiting on port %d.  This will block until the app is listening on that port.", c.options.Protocol, c.options.Port))
		tick := time.NewTicker(poll)
		defer tick.Stop()
		for !listening(ctx, c.address) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	l.Info(fmt.Sprintf("application discovered on port %d", c.options.Port))
	return nil
}
