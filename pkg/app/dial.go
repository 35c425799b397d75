package app

import (
	"context"
	"errors"
	"net"
	"time"
)

const (
	loopback     = "127.0.0.1"
	loopbackIPv6 = "::1"
	dialTimeout  = 5 * time.Second
)

// dial connects to the app. An app that listens on "localhost" may have got the
// IPv6 loopback address only: on the loopback interface both are tried.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil || !errors.Is(err, connectionRefused) {
		return conn, err
	}
	host, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil || host != loopback {
		return nil, err
	}
	if conn, err6 := d.DialContext(ctx, network, net.JoinHostPort(loopbackIPv6, port)); err6 == nil {
		return conn, nil
	}
	return nil, err
}

// listening tells whether somebody accepts connections there.
func listening(ctx context.Context, address string) bool {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
