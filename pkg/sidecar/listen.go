package sidecar

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/unixsocket"
)

// listeners are what a sidecar listens on for its whole life. They are bound
// before anything is started, so that a busy port ends the process before it
// has touched a component, and they stay bound across reloads.
type listeners struct {
	http, grpc                         []*held
	internal, public, metrics, profile *held // nil when not served
}

// bind binds everything the options ask for, taking over what a parent process
// has bound already. On an error nothing stays bound.
func bind(o *Options, inherited *freeport.Inherited) (l *listeners, err error) {
	l = &listeners{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	listen := func(name, host string, port int, flag string) (*held, error) {
		ln, err := inherited.Listen(name, host, port, flag)
		if err != nil {
			return nil, err
		}
		return &held{Listener: ln}, nil
	}

	if o.UnixDomainSocket != "" {
		if err := l.bindSockets(o); err != nil {
			return l, err
		}
	} else {
		hosts := o.ListenAddresses
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			h, err := listen("http", host, o.HTTPPort, "--dapr-http-port")
			if errors.Is(err, syscall.EADDRNOTAVAIL) && len(hosts) > 1 {
				continue // such as ::1 where there is no IPv6
			}
			if err != nil {
				return l, err
			}
			l.http = append(l.http, h)
			if h, err = listen("grpc", host, o.GRPCPort, "--dapr-grpc-port"); err != nil {
				return l, err
			}
			l.grpc = append(l.grpc, h)
		}
	}
	if len(l.http) == 0 {
		return l, fmt.Errorf("--dapr-listen-addresses %q: this machine has none of these addresses", o.ListenAddresses)
	}
	if l.internal, err = listen("internal", o.InternalAddress, o.InternalPort, "--dapr-internal-grpc-port"); err != nil {
		return l, err
	}
	if o.PublicPort != 0 {
		if l.public, err = listen("public", o.PublicAddress, o.PublicPort, "--dapr-public-port"); err != nil {
			return l, err
		}
	}
	if o.EnableMetrics {
		l.metrics, err = listen("metrics", o.MetricsAddress, o.MetricsPort, "--metrics-port")
		if errors.Is(err, freeport.ErrInUse) && !o.metricsPortGiven {
			// Nobody asked for the default port: a second sidecar on the machine is
			// no reason not to start.
			l.metrics, err = listen("metrics", o.MetricsAddress, 0, "--metrics-port")
		}
		if err != nil {
			return l, err
		}
	}
	if o.EnableProfiling {
		if l.profile, err = listen("profile", "127.0.0.1", o.ProfilePort, "--profile-port"); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *listeners) bindSockets(o *Options) error {
	for _, s := range []struct {
		face string
		to   *[]*held
	}{{"http", &l.http}, {"grpc", &l.grpc}} {
		ln, err := unixsocket.Listen(unixsocket.Path(o.UnixDomainSocket, o.AppID, s.face))
		if err != nil {
			return err
		}
		*s.to = append(*s.to, &held{Listener: ln})
	}
	return nil
}

func (l *listeners) all() []*held {
	all := append(append([]*held(nil), l.http...), l.grpc...)
	for _, h := range []*held{l.internal, l.public, l.metrics, l.profile} {
		if h != nil {
			all = append(all, h)
		}
	}
	return all
}

func (l *listeners) close() error {
	var errs []error
	for _, h := range l.all() {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// portOf is the port of the first of the listeners; 0 for sockets and for none.
func portOf(hs ...*held) int {
	if len(hs) == 0 || hs[0] == nil {
		return 0
	}
	return freeport.Port(hs[0].Listener)
}

func leases(hs ...*held) []net.Listener {
	ls := make([]net.Listener, 0, len(hs))
	for _, h := range hs {
		if h != nil {
			ls = append(ls, h.lease())
		}
	}
	return ls
}

// held is a listener that stays bound while the servers behind it are replaced:
// a reload refuses no connection. Each generation of servers gets its own lease.
type held struct {
	net.Listener
	mu sync.Mutex // one lease accepts at a time
	// early are connections that came when their lease had just ended: they are
	// the next one's.
	early []net.Conn
}

// Close gives the port free. The leases end when their servers do.
func (h *held) Close() error {
	if err := h.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // closed twice
}

// lease returns a listener for one generation. Closing it ends its Accept and
// leaves the port bound.
func (h *held) lease() net.Listener { return &lease{held: h, ended: make(chan struct{})} }

type lease struct {
	held  *held
	once  sync.Once
	ended chan struct{}
}

// Accept implements net.Listener.
func (l *lease) Accept() (net.Conn, error) {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	for {
		err := l.deadline(time.Time{})
		// Checked after the deadline is lifted: Close marks before it sets one, so
		// either it is seen here or it interrupts the Accept.
		if l.over() {
			return nil, net.ErrClosed
		}
		if n := len(l.held.early); n > 0 {
			conn := l.held.early[n-1]
			l.held.early = l.held.early[:n-1]
			return conn, nil
		}
		var conn net.Conn
		if err == nil {
			conn, err = l.held.Accept()
		}
		switch {
		case err == nil && l.over():
			l.held.early = append(l.held.early, conn)
		case err == nil:
			return conn, nil
		case errors.Is(err, net.ErrClosed):
			// The port is free already, the server ends next: to it, this is no
			// failure.
			<-l.ended
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		}
	}
}

func (l *lease) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// Close implements net.Listener.
func (l *lease) Close() (err error) {
	l.once.Do(func() {
		close(l.ended)
		if err = l.deadline(time.Now().Add(-time.Second)); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	})
	return err
}

// Addr implements net.Listener.
func (l *lease) Addr() net.Addr { return l.held.Addr() }

// deadline interrupts an Accept, which TCP and unix listeners can.
func (l *lease) deadline(t time.Time) error {
	d, ok := l.held.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return fmt.Errorf("a listener of type %T cannot be interrupted", l.held.Listener)
	}
	return d.SetDeadline(t)
}
