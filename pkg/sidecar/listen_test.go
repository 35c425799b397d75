package sidecar

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLeasesHandOverWithoutLosingAConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &held{Listener: ln}
	defer h.Close()

	for i := range 5 {
		l := h.lease()
		accepted := make(chan error, 1)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					accepted <- err
					return
				}
				fmt.Fprint(conn, i)
				conn.Close()
			}
		}()
		conn, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		var got int
		_, err = fmt.Fscan(conn, &got)
		require.NoError(t, err)
		require.Equal(t, i, got)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close(), "closing twice must not interrupt the next lease")
		require.ErrorIs(t, <-accepted, net.ErrClosed)
	}

	// Between two leases connections wait; they are not refused.
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	l := h.lease()
	server, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.NoError(t, conn.Close())
}

// What comes between the end of a lease and the next one is the next one's.
func TestAConnectionThatComesAsItsLeaseEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &held{Listener: ln}
	defer h.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	accepted, err := ln.Accept()
	require.NoError(t, err)
	h.early = append(h.early, accepted)
	got, err := h.lease().Accept()
	require.NoError(t, err)
	require.Equal(t, conn.LocalAddr().String(), got.RemoteAddr().String())
	require.NoError(t, got.Close())
}

// A port that is given free before its server ends is no failure of the server.
func TestAPortThatIsClosedUnderItsLease(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &held{Listener: ln}
	for range 2 { // the lease that is accepting, and one that comes later
		l := h.lease()
		accepted := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		require.NoError(t, h.Close())
		select {
		case err := <-accepted:
			t.Fatal("the lease ended before its server: ", err)
		case <-time.After(10 * time.Millisecond):
		}
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-accepted, net.ErrClosed)
	}
}

func TestBindLeavesNothingBoundWhenAPortIsBusy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	freePort := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())

	o := &Options{ListenAddresses: []string{"127.0.0.1"}, HTTPPort: freePort, GRPCPort: busy.Addr().(*net.TCPAddr).Port}
	_, err = bind(o, nil)
	require.ErrorContains(t, err, fmt.Sprintf("port %d is in use", o.GRPCPort))
	require.ErrorContains(t, err, "--dapr-grpc-port")
	again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", freePort))
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
