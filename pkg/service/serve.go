package service

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
)

// grace is how long calls may go on after the context has ended. It is below
// the thirty seconds that Kubernetes leaves a pod.
const grace = 10 * time.Second

// ServeGRPC serves until the context ends, then lets calls go on for up to ten
// seconds. Streams that never end by themselves should watch the context too.
func ServeGRPC(ctx context.Context, l net.Listener, s *grpc.Server) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	hard := time.AfterFunc(grace, s.Stop)
	defer hard.Stop()
	s.GracefulStop()
	if err := <-served; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// ServeHTTP serves plain HTTP until the context ends, then lets requests go on
// for up to ten seconds.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := newServer(h)
	return serveHTTP(ctx, s, func() error { return s.Serve(l) })
}

// ServeHTTPS is ServeHTTP over TLS.
func ServeHTTPS(ctx context.Context, l net.Listener, h http.Handler, config *tls.Config) error {
	s := newServer(h)
	s.TLSConfig = config
	return serveHTTP(ctx, s, func() error { return s.ServeTLS(l, "", "") })
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}

func serveHTTP(ctx context.Context, s *http.Server, serve func() error) error {
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
