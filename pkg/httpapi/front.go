package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// FrontOptions are a front's choices.
type FrontOptions struct {
	// ReadBuffer limits a request's header, in bytes; 0 is net/http's limit.
	ReadBuffer int
	// DisableH2C refuses HTTP/2 without TLS.
	DisableH2C bool
	// Grace is how long requests may go on after Serve's context has ended, or
	// after another server has taken over.
	Grace time.Duration
	// Log gets what goes wrong with connections; nil is none.
	Log *slog.Logger
}

// Front holds listeners and connections. The server behind it can be replaced
// at any time, and no connection notices: an HTTP/1.1 server cannot close a
// connection without the risk that a request is just on its way.
type Front struct {
	http    *http.Server
	grace   time.Duration
	log     *slog.Logger
	current atomic.Pointer[shift]
}

// NewFront returns a front; first answers until another server takes over.
func NewFront(o FrontOptions, first http.Handler) *Front {
	f := &Front{grace: o.Grace, log: o.Log}
	if f.log == nil {
		f.log = telemetry.Discard()
	}
	f.current.Store(&shift{handler: first})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(!o.DisableH2C)
	f.http = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    o.ReadBuffer,
		Protocols:         protocols,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelWarn),
	}
	return f
}

// shift is one server's time behind the front.
type shift struct {
	handler http.Handler
	running sync.RWMutex // held for reading by requests
	over    bool
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		s := f.current.Load()
		// Neither waits for another server's drain: when the lock is not to be
		// had, that server has been replaced.
		if !s.running.TryRLock() {
			continue
		}
		if s.over {
			s.running.RUnlock()
			continue
		}
		defer s.running.RUnlock()
		s.handler.ServeHTTP(w, r)
		return
	}
}

// Replace makes next answer every request from now on. drained waits until the
// server before has answered its last one, at most for the grace period; what
// takes longer goes on.
func (f *Front) Replace(next http.Handler) (drained func()) {
	before := f.current.Swap(&shift{handler: next})
	return func() {
		done := make(chan struct{})
		go func() {
			before.running.Lock()
			before.over = true
			before.running.Unlock()
			close(done)
		}()
		grace := time.NewTimer(f.grace)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
			f.log.Warn("HTTP requests outlast the server that answers them", "grace", f.grace)
		}
	}
}

// Serve answers requests on the listeners, which it closes, until ctx ends;
// then it lets the running ones finish within the grace period and cuts off the
// rest. It can be called once. An error means that a listener failed.
func (f *Front) Serve(ctx context.Context, listeners ...net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := f.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		f.shutdown(context.WithoutCancel(ctx))
		return nil
	})
	return g.Wait()
}

func (f *Front) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, f.grace)
	defer cancel()
	if err := f.http.Shutdown(ctx); err != nil {
		f.log.Warn("HTTP requests were cut off", "grace", f.grace)
		f.http.Close()
	}
}
