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
	return serveHTTP(ctx, l, &http.Server{Handler: h}, (*http.Server).Serve)
}

// ServeHTTPS is ServeHTTP over TLS.
func ServeHTTPS(ctx context.Context, l net.Listener, h http.Handler, config *tls.Config) error {
	return serveHTTP(ctx, l, &http.Server{Handler: h, TLSConfig: config}, func(s *http.Server, l net.Listener) error {
		return s.ServeTLS(l, "", "")
	})
}

func serveHTTP(ctx context.Context, l net.Listener, s *http.Server, serve func(*http.Server, net.Listener) error) error {
	s.ReadHeaderTimeout, s.IdleTimeout = 10*time.Second, time.Minute
	served := make(chan error, 1)
	go func() { served <- serve(s, l) }()
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
