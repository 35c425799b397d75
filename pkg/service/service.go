// Package service is the frame that every control plane service runs in: flags
// that all of them have, logger, metrics server, healthz server, signals and
// exit codes. A service brings its own flags and one function:
//
//	func Main(ctx context.Context, args []string, env service.LookupEnv, stdout, stderr io.Writer) error {
//		return service.Run(ctx, service.Options{
//			Name: "placement", Args: args, Env: env, Stdout: stdout, Stderr: stderr,
//		}, func(fs *pflag.FlagSet) service.Body {
//			port := service.Port(fs, "port", 50005, "port of the gRPC server")
//			return func(ctx context.Context, p *service.Process) error {
//				l, err := freeport.Listen("", *port, "--port")
//				if err != nil {
//					return err
//				}
//				server := grpc.NewServer()
//				p.Ready()
//				return service.ServeGRPC(ctx, l, server)
//			}
//		})
//	}
//
// The context of a body ends with the first SIGINT or SIGTERM; the body then
// drains and returns. Until it has, metrics and healthz are served, and healthz
// answers that the service is not ready. A second signal ends Run at once.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/signals"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	"github.com/hyperdapr/dapr/pkg/version"
)

// LookupEnv reads one environment variable, as os.LookupEnv does.
type LookupEnv func(name string) (string, bool)

// Get returns the variable, or nothing when it is not set.
func (l LookupEnv) Get(name string) string {
	v, _ := l(name)
	return v
}

// Options are what a service is and where it runs. All but NotBuilt and About
// are required.
type Options struct {
	// Name is the role's, such as "sentry"; it is in usage errors and, as
	// dapr.NAME, the scope of log lines.
	Name string
	// About is the first line of the help.
	About string
	// NotBuilt are flags of the protocol whose feature comes later. Setting one
	// is not an error, so that command lines carry over: it is warned about.
	NotBuilt []string

	Args           []string
	Env            LookupEnv
	Stdout, Stderr io.Writer
}

// Body is a service at work: it returns when the context ends and everything is
// drained, or with the error that ends the process. A *UsageError tells of a
// flag.
type Body func(ctx context.Context, p *Process) error

// Process is what the frame gives to a body.
type Process struct {
	// Log has the scope dapr.NAME; telemetry.Scope makes loggers below it.
	Log *slog.Logger
	// Metrics takes the service's collectors and is served already.
	Metrics *telemetry.Metrics
	// Health decides what /healthz answers.
	Health *Health
	Env    LookupEnv

	name string
	mux  *http.ServeMux
}

// Ready tells that the service has started. Until then it is not ready; so it
// is again while it ends.
func (p *Process) Ready() { p.Health.Set(p.name, "") }

// Handle serves a further path, such as "GET /placement/state", on the port of
// /healthz.
func (p *Process) Handle(pattern string, h http.Handler) { p.mux.Handle(pattern, h) }

// Run is the whole program of a service: it reads the arguments and runs the
// body until a signal or an error. define adds the service's flags to fs, and
// what it returns runs when they are parsed. What Run returns is printed
// already; ExitCode makes it a code.
func Run(ctx context.Context, o Options, define func(fs *pflag.FlagSet) Body) error {
	c, body, err := parse(o, define)
	var answer *answerError
	switch {
	case errors.As(err, &answer):
		_, err := io.WriteString(o.Stdout, answer.text)
		return err
	case err != nil:
		fmt.Fprintf(o.Stderr, "%s: %v\n", o.Name, err)
		return err
	}

	log := telemetry.NewLogger(o.Stdout, telemetry.LogOptions{Level: c.level, JSON: c.logAsJSON, Version: version.Version()})
	log = telemetry.Scope(log, "dapr."+o.Name)
	log.Info(fmt.Sprintf("Starting Dapr %s -- version %s -- commit %s", o.Name, version.Version(), version.Commit()))
	for _, w := range c.warnings {
		log.Warn(w)
	}

	sig, stop := signals.Notify(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- c.serve(sig.Stop, o, body, log) }()
	select {
	case err = <-done:
	case <-sig.Forced.Done():
		if err = context.Cause(sig.Forced); !errors.Is(err, signals.ErrForced) {
			err = <-done
		}
	}
	var usage *UsageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(o.Stderr, "%s: %v\n", o.Name, err)
	case err != nil:
		telemetry.Fatal(log, err.Error())
	default:
		log.Info("Dapr " + o.Name + " stopped")
	}
	return err
}

// serve runs the body between the metrics and the healthz server.
func (c *flags) serve(ctx context.Context, o Options, body Body, log *slog.Logger) error {
	p := &Process{
		Log: log, Metrics: telemetry.NewMetrics(""), Health: &Health{}, Env: o.Env,
		name: o.Name, mux: http.NewServeMux(),
	}
	p.Health.Set(o.Name, "starting")
	p.Handle("GET /healthz", p.Health)

	servers, err := c.bind(p)
	if err != nil {
		return err
	}
	// The servers outlive the body: what it does while it ends can be seen.
	serving, endServers := context.WithCancel(context.WithoutCancel(ctx))
	defer endServers()
	running, endBody := context.WithCancel(ctx)
	defer endBody()

	var g errgroup.Group
	for _, s := range servers {
		g.Go(func() error {
			defer endBody() // a server that fails ends the service
			return ServeHTTP(serving, s.listener, s.handler)
		})
	}
	stopping := context.AfterFunc(running, func() { p.Health.Set(o.Name, "stopping") })
	defer stopping()
	g.Go(func() error {
		defer endServers()
		err := body(running, p)
		if running.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // it was asked to end
		}
		return err
	})
	return g.Wait()
}

type server struct {
	listener net.Listener
	handler  http.Handler
}

// bind binds the frame's ports before the body starts, so that a busy one is
// the first error.
func (c *flags) bind(p *Process) (servers []server, err error) {
	defer func() {
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.listener.Close())
			}
		}
	}()
	l, err := freeport.Listen(c.healthzAddress, c.healthzPort, "--healthz-port")
	if err != nil {
		return servers, err
	}
	servers = append(servers, server{l, p.mux})
	p.Log.Info(fmt.Sprintf("healthz server is listening on %s", l.Addr()))
	if !c.enableMetrics {
		return servers, nil
	}
	l, err = freeport.Listen(c.metricsAddress, c.metricsPort, "--metrics-port")
	if errors.Is(err, freeport.ErrInUse) && !c.metricsPortGiven {
		// Nobody asked for the default port: several services on one machine are
		// no reason not to start.
		p.Log.Warn(fmt.Sprintf("metrics are not on the default port: %v", err))
		l, err = freeport.Listen(c.metricsAddress, 0, "--metrics-port")
	}
	if err != nil {
		return servers, err
	}
	servers = append(servers, server{l, p.Metrics.Handler()})
	p.Log.Info(fmt.Sprintf("metrics server started on %s/", l.Addr()))
	return servers, nil
}
