package freeport_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/freeport"
)

func TestListen(t *testing.T) {
	l, err := freeport.Listen("127.0.0.1", 0, "")
	require.NoError(t, err)
	defer l.Close()
	port := freeport.Port(l)
	require.NotZero(t, port)

	t.Run("a taken port names its owner and the fix", func(t *testing.T) {
		_, err := freeport.Listen("127.0.0.1", port, "--dapr-http-port")
		require.ErrorIs(t, err, freeport.ErrInUse)
		msg := err.Error()
		require.Contains(t, msg, "port "+strconv.Itoa(port)+" is in use")
		require.Contains(t, msg, "choose another port with --dapr-http-port")
		require.NotContains(t, msg, "\n")
		if runtime.GOOS == "linux" {
			comm, err := os.ReadFile("/proc/self/comm")
			require.NoError(t, err)
			require.Contains(t, msg, fmt.Sprintf("by %s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid()))
		}
		if runtime.GOOS == "windows" {
			self, err := os.Executable()
			require.NoError(t, err)
			require.Contains(t, msg, fmt.Sprintf("by %s (pid %d)", filepath.Base(self), os.Getpid()))
		}
	})

	t.Run("a port that was closed is free at once", func(t *testing.T) {
		first, err := freeport.Listen("127.0.0.1", 0, "")
		require.NoError(t, err)
		port := freeport.Port(first)
		require.NoError(t, first.Close())
		second, err := freeport.Listen("127.0.0.1", port, "")
		require.NoError(t, err)
		second.Close()
	})

	for _, tc := range []struct {
		name, host string
		port       int
		want       string
	}{
		{"too large", "", 65536, "port 65536 is out of range: use 0 to 65535 with --x"},
		{"negative", "", -1, "port -1 is out of range"},
		{"not a local address", "192.0.2.1", 4000, "listen on port 4000: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := freeport.Listen(tc.host, tc.port, "--x")
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestPortOfOtherListeners(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err)
	defer l.Close()
	require.Zero(t, freeport.Port(l))
}
