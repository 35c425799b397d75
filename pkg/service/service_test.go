package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/service"
	"github.com/hyperdapr/dapr/pkg/version"
)

// output is what a service has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func noEnv(string) (string, bool) { return "", false }

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		name           string
		args           []string
		stdout, stderr string // stdout may be a part
		code           int
	}{
		{"unknown flag", []string{"--prot", "1"}, "", "toy: unknown flag --prot; did you mean --port?\n", 2},
		{"strange flag", []string{"--zzzzzzzzzzzz"}, "", "toy: unknown flag --zzzzzzzzzzzz; run toy --help for the flags\n", 2},
		{"bad port", []string{"--healthz-port", "70000"}, "", "toy: --healthz-port \"70000\": must be a port number from 0 to 65535\n", 2},
		{"one dash", []string{"-port=x"}, "", "toy: --port \"x\": must be a port number from 0 to 65535\n", 2},
		{"argument", []string{"fast"}, "", "toy: unexpected argument \"fast\": toy takes flags only; run toy --help for them\n", 2},
		{"log level", []string{"--log-level", "loud"}, "", "toy: --log-level: log level \"loud\" is not one of debug, info, warn, error, fatal\n", 2},
		{"flag that the body refuses", []string{"--healthz-port=0", "--metrics-port=0", "--mode=wild"}, "", "toy: --mode \"wild\" is not known\n", 2},
		{"failure", []string{"--healthz-port=0", "--metrics-port=0", "--mode=broken"}, `level=fatal msg="it broke"`, "", 1},
		{"not built", []string{"--healthz-port=0", "--metrics-port=0", "--colour=red"}, "flag --colour is accepted, but what it configures is not built yet", "", 0},
		{"version", []string{"--version"}, version.Version() + "\n", "", 0},
		{"build", []string{"--build-info"}, "Git Commit: ", "", 0},
		{"help", []string{"-h"}, "A toy.\n\nUsage:\n  toy [flags]\n\nFlags:\n", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr output
			err := service.Run(t.Context(), service.Options{
				Name: "toy", About: "A toy.", NotBuilt: []string{"colour"}, Args: c.args, Env: noEnv, Stdout: &stdout, Stderr: &stderr,
			}, func(fs *pflag.FlagSet) service.Body {
				service.Port(fs, "port", 1234, "a port")
				mode := fs.String("mode", "", "")
				fs.String("colour", "", "")
				return func(context.Context, *service.Process) error {
					switch *mode {
					case "wild":
						return service.Usagef("--mode %q is not known", *mode)
					case "broken":
						return errors.New("it broke")
					}
					return nil
				}
			})
			require.Equal(t, c.code, service.ExitCode(err))
			require.Contains(t, stdout.String(), c.stdout)
			require.Equal(t, c.stderr, stderr.String())
		})
	}
}

func TestABusyPortNamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var stdout output
	err = service.Run(t.Context(), service.Options{
		Name: "toy", Args: []string{"--healthz-listen-address=127.0.0.1", fmt.Sprintf("--healthz-port=%d", freeport.Port(l))}, Env: noEnv, Stdout: &stdout, Stderr: io.Discard,
	}, func(*pflag.FlagSet) service.Body {
		return func(context.Context, *service.Process) error { panic("must not start") }
	})
	require.ErrorIs(t, err, freeport.ErrInUse)
	require.ErrorContains(t, err, "--healthz-port")
	require.Contains(t, stdout.String(), "level=fatal")
}

func TestHealthAndMetricsLastAsLongAsTheService(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout output
	start, drained := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- service.Run(ctx, service.Options{
			Name:   "toy",
			Args:   []string{"--healthz-port=0", "--healthz-listen-address=127.0.0.1", "--metrics-port=0", "--metrics-listen-address=127.0.0.1"},
			Env:    noEnv,
			Stdout: &stdout, Stderr: io.Discard,
		}, func(*pflag.FlagSet) service.Body {
			return func(ctx context.Context, p *service.Process) error {
				c := prometheus.NewCounter(prometheus.CounterOpts{Name: "dapr_toy_total"})
				p.Metrics.MustRegister(c)
				c.Inc()
				p.Handle("GET /toy/state", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "toys") }))
				<-start
				p.Ready()
				<-ctx.Done()
				<-drained
				return ctx.Err()
			}
		})
	}()

	find := func(pattern string) string {
		var address string
		require.Eventually(t, func() bool {
			m := regexp.MustCompile(pattern).FindStringSubmatch(stdout.String())
			if m == nil {
				return false
			}
			address = m[1]
			return true
		}, 10*time.Second, 5*time.Millisecond)
		return "http://" + address
	}
	healthz := find(`healthz server is listening on ([\d.:]+)`)
	metrics := find(`metrics server started on ([\d.:]+)/`)
	get := func(url string) (int, string) {
		res, err := http.Get(url)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	expect := func(status int, text string) {
		t.Helper()
		require.Eventually(t, func() bool {
			s, b := get(healthz + "/healthz")
			return s == status && b == text
		}, 10*time.Second, 5*time.Millisecond)
	}

	expect(500, "not ready: toy: starting\n")
	close(start)
	expect(200, "ok\n")
	_, text := get(metrics + "/")
	require.Contains(t, text, "dapr_toy_total 1")
	_, text = get(healthz + "/toy/state")
	require.Equal(t, "toys", text)

	cancel()
	expect(500, "not ready: toy: stopping\n")
	close(drained)
	require.NoError(t, <-done)
	require.Contains(t, stdout.String(), "Dapr toy stopped")
	require.Contains(t, stdout.String(), "scope=dapr.toy")
}

func TestServeGRPCDrains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		close(entered)
		<-leave
		return h(ctx, req)
	}))
	healthv1.RegisterHealthServer(s, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- service.ServeGRPC(ctx, l, s) }()

	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	answer := make(chan error, 1)
	go func() {
		_, err := healthv1.NewHealthClient(conn).Check(context.WithoutCancel(ctx), &healthv1.HealthCheckRequest{})
		answer <- err
	}()
	<-entered
	cancel()
	close(leave)
	require.NoError(t, <-answer, "a call that has begun is answered")
	require.NoError(t, <-done)
}
