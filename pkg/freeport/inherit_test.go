//go:build unix

package freeport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hyperdapr/dapr/pkg/freeport"
)

// TestMain makes this program its own child: with childEnv set it serves one
// connection on each inherited port and ends when its input does.
func TestMain(m *testing.M) {
	if ports := os.Getenv(childEnv); ports != "" {
		if err := child(ports); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const childEnv = "FREEPORT_TEST_CHILD"

func child(ports string) error {
	inherited, err := freeport.Adopt(os.Getenv(freeport.Env))
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(ports, ",") {
		name, number, _ := strings.Cut(entry, "=")
		port, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		l, err := inherited.Listen(name, "127.0.0.1", port, "--"+name)
		if err != nil {
			return err
		}
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				fmt.Fprintf(conn, "%s from %d\n", name, os.Getpid())
				conn.Close()
			}
		}()
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestInherit(t *testing.T) {
	listeners := make(map[string]net.Listener)
	var ports []string
	for _, name := range []string{"http", "grpc", "metrics"} {
		l, err := freeport.Listen("127.0.0.1", 0, "")
		require.NoError(t, err)
		listeners[name] = l
		ports = append(ports, fmt.Sprintf("%s=%d", name, freeport.Port(l)))
	}

	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(ports, ","))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	// A descriptor that is there already must not shift the listeners'.
	other, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer other.Close()
	cmd.ExtraFiles = []*os.File{other}

	release, err := freeport.Inherit(cmd, listeners)
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	release()

	for name, l := range listeners {
		// The port was never free: this connects even before the child accepts.
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%s from %d\n", name, cmd.Process.Pid), line)
		conn.Close()
	}

	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
	for _, l := range listeners {
		_, err := net.Dial("tcp", l.Addr().String())
		require.Error(t, err, "the port outlived the child")
	}
}

func TestInheritRefusesOtherListeners(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err)
	_, err = freeport.Inherit(exec.Command("true"), map[string]net.Listener{"http": l})
	require.EqualError(t, err, "hand over listener http: *net.UnixListener is not a TCP listener")
}

func TestAdopt(t *testing.T) {
	t.Run("nothing inherited", func(t *testing.T) {
		in, err := freeport.Adopt("")
		require.NoError(t, err)
		l, err := in.Listen("http", "127.0.0.1", 0, "")
		require.NoError(t, err)
		l.Close()
	})
	t.Run("given out once, and only for its port", func(t *testing.T) {
		held, err := freeport.Listen("127.0.0.1", 0, "")
		require.NoError(t, err)
		f, err := held.(*net.TCPListener).File()
		require.NoError(t, err)
		port := freeport.Port(held)
		held.Close()
		in, err := freeport.Adopt("http=" + duplicate(t, f))
		require.NoError(t, err)
		defer in.Close()

		other, err := in.Listen("http", "127.0.0.1", 0, "")
		require.NoError(t, err)
		require.NotEqual(t, port, freeport.Port(other))
		other.Close()

		l, err := in.Listen("http", "127.0.0.1", port, "")
		require.NoError(t, err)
		require.Equal(t, port, freeport.Port(l))
		_, err = in.Listen("http", "127.0.0.1", port, "")
		require.ErrorIs(t, err, freeport.ErrInUse)
		l.Close()
		again, err := in.Listen("http", "127.0.0.1", port, "")
		require.NoError(t, err, "after a reload the port is bound anew")
		again.Close()
	})
	for _, value := range []string{"http", "http=x", "=3", "http=2"} {
		t.Run(value, func(t *testing.T) {
			_, err := freeport.Adopt(value)
			require.ErrorContains(t, err, "is not name=descriptor")
		})
	}
	t.Run("not a socket", func(t *testing.T) {
		f, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		_, err = freeport.Adopt("http=" + duplicate(t, f))
		require.ErrorContains(t, err, "is not a listener")
	})
}

// duplicate gives up f for a descriptor that Adopt may close.
func duplicate(t *testing.T, f *os.File) string {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return strconv.Itoa(fd)
}
