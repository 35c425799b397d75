package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"
	"time"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/hyperdapr/dapr/pkg/apierror"
	"github.com/hyperdapr/dapr/pkg/apifilter"
	"github.com/hyperdapr/dapr/pkg/app"
	"github.com/hyperdapr/dapr/pkg/component"
	"github.com/hyperdapr/dapr/pkg/grpcapi"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/invoke"
	"github.com/hyperdapr/dapr/pkg/peer"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/secret"
	"github.com/hyperdapr/dapr/pkg/state"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	build "github.com/hyperdapr/dapr/pkg/version"
)

// firstAttempts is how long the API waits, before it answers, for the
// components to be tried once: a call right after the start then finds them
// open, and one whose server hangs holds nothing up for long.
const firstAttempts = time.Second

// laterAttempts is the same for a generation that takes over from another one,
// which answers until then.
const laterAttempts = 5 * time.Second

// generation is what one reading of the resources made: components, blocks and
// servers. A reload replaces it as a whole.
type generation struct {
	s          *Sidecar
	first      bool // no generation was before it
	set        *settings
	log        *slog.Logger
	began      time.Time
	ready      *readiness
	metrics    *telemetry.Metrics
	metadata   *metadata
	shutdown   shutdown
	blocks     blocks
	components *components
	app        *app.Channel // nil when the app takes no calls

	http, public  *httpapi.Server
	grpc, sidecar *grpcapi.Server

	// updates are new lists of components, to be taken over while running.
	updates chan []*resource.Component
	// serving is closed when the servers are up.
	serving chan struct{}
	// succeeded ends the generation quietly: another one has taken over. What it
	// receives waits for the HTTP calls that are still running here.
	succeeded chan func()
	// done receives how run ended.
	done chan error
	// forced ends the generation at once, with an error.
	forced chan struct{}
}

// newGeneration builds everything and starts nothing.
func (s *Sidecar) newGeneration(set *settings, began time.Time, stop func()) (*generation, error) {
	g := &generation{
		s: s, first: s.endServing == nil, set: set, log: s.log, began: began, ready: newReadiness(s.o.AppID),
		metrics: telemetry.NewMetrics(s.o.AppID), updates: make(chan []*resource.Component),
		serving: make(chan struct{}), succeeded: make(chan func(), 1), done: make(chan error, 1), forced: make(chan struct{}),
	}
	if g.first {
		g.ready.set(targetServers, "starting")
	}
	g.metadata = &metadata{describe: g.describe, extended: &s.extended}
	g.shutdown = shutdown{stop: stop, force: sync.OnceFunc(func() { close(g.forced) })}
	if err := g.connectApp(); err != nil {
		return nil, err
	}
	var err error
	if g.blocks, err = g.newBlocks(); err != nil {
		return nil, err
	}
	g.components = &components{
		log: g.log, ready: g.ready, blocks: g.blocks.owners(), strict: s.o.StrictComponents,
		resolve: func(ctx context.Context, c *resource.Component) (component.Spec, error) {
			return c.Resolve(ctx, s.env(g.blocks.secret.Resolve))
		},
		dependsOn: func(c *resource.Component) string { return c.SecretStore(s.defaultSecretStore()) },
	}
	return g, g.newServers()
}

func (g *generation) connectApp() error {
	o := g.s.o
	if o.AppPort == 0 {
		return nil
	}
	g.ready.set(targetApp, fmt.Sprintf("not listening on port %d yet", o.AppPort))
	options := app.Options{
		Protocol: app.Protocol(o.AppProtocol), Host: o.AppChannelAddress, Port: o.AppPort, MaxConcurrency: o.AppMaxConcurrency,
		Token: o.AppAPIToken, MaxBodySize: o.messageLimit(), Logger: g.log,
	}
	if o.AppHealthCheck {
		options.Health = &app.HealthOptions{
			Path: o.AppHealthPath, Interval: o.AppHealthInterval, Timeout: o.AppHealthTimeout, Threshold: o.AppHealthThreshold,
			OnChange: func(_ context.Context, healthy bool) { g.appHealthy(healthy) },
		}
	}
	var err error
	g.app, err = app.New(options)
	return err
}

func (g *generation) appHealthy(healthy bool) {
	reason := ""
	if !healthy {
		reason = "unhealthy: its health checks fail"
	}
	g.ready.set(targetApp, reason)
}

// headerSlop is what net/http takes beyond its limit for headers. Both faces
// take the same.
const headerSlop = 4 << 10

// envelope is room for what another sidecar puts around a body that is as large
// as it may be.
const envelope = 64 << 10

// newServers makes the servers of the APIs and the one for other sidecars.
func (g *generation) newServers() error {
	o, spec := g.s.o, g.set.config.Spec
	filter := apiFilter(spec.API)
	if err := filter.Validate(); err != nil {
		return fmt.Errorf("Configuration %s: %w", g.set.config.Name(), err)
	}
	metricSpec := g.set.config.Metrics()
	var httpMetrics *httpapi.Metrics
	var counter *apierror.Counter
	if *metricSpec.Enabled {
		var err error
		if httpMetrics, err = httpapi.NewMetrics(g.metrics, httpMetricsOptions(metricSpec)); err != nil {
			return err
		}
		if metricSpec.RecordErrorCodes != nil && *metricSpec.RecordErrorCodes {
			counter = apierror.NewCounter(g.metrics)
		}
	}
	routes := append(g.ready.routes(), g.metadata.routes()...)
	routes = append(append(routes, g.shutdown.routes()...), g.blocks.routes()...)
	base := httpapi.Options{
		Routes: routes, Filter: filter, MaxBody: max(o.MaxBodySize, 0),
		Log: telemetry.Scope(g.s.base, scopeHTTP), Metrics: httpMetrics, Errors: counter,
	}
	api := base
	api.Fallback, api.Origins, api.Token = orMissing(g.blocks.invoke.Fallback), o.AllowedOrigins, o.APIToken
	logging := spec.Logging.APILogging
	if enabled := o.EnableAPILogging; enabled != nil && *enabled || enabled == nil && logging.Enabled {
		api.APILog = &httpapi.APILog{
			Log:           telemetry.Scope(g.s.base, "dapr.runtime.http-info"),
			ObfuscateURLs: logging.ObfuscateURLs, OmitHealthChecks: logging.OmitHealthChecks,
		}
	}
	g.http = httpapi.New(api)
	base.Public = true
	g.public = httpapi.New(base)

	log := telemetry.Scope(g.s.base, "dapr.runtime.grpc.api")
	options := grpcapi.Options{
		MaxMessage: o.messageLimit(), MaxHeader: int(o.ReadBufferSize) + headerSlop, Token: o.APIToken, Filter: filter, Missing: missing, Unknown: g.blocks.invoke.ProxyFromApp,
		Grace: o.GracefulShutdown, Log: log, Errors: counter,
		Extra: []grpc.ServerOption{grpc.ForceServerCodecV2(peer.Codec())}, // to pass on calls of services of apps
	}
	if httpMetrics != nil {
		options.Metrics = grpcapi.NewMetrics(g.metrics, httpMetricsOptions(metricSpec).LatencyBuckets)
	}
	if api.APILog != nil {
		options.APILog = telemetry.Scope(g.s.base, "dapr.runtime.grpc.api-info")
	}
	g.grpc = grpcapi.New(options)
	runtimev1.RegisterDaprServer(g.grpc, rpc{
		stateRPC: state.NewRPC(g.blocks.state), secretRPC: secret.NewRPC(g.blocks.secret), invokeRPC: invoke.NewRPC(g.blocks.invoke),
		metadataRPC: metadataRPC{g.metadata}, shutdownRPC: shutdownRPC{g.shutdown},
	})
	g.sidecar = grpcapi.New(grpcapi.Options{
		Credentials: g.s.identity.server(), Unknown: g.blocks.invoke.ProxyFromPeer, MaxMessage: o.messageLimit() + envelope, Grace: o.GracefulShutdown,
		Log: telemetry.Scope(g.s.base, "dapr.runtime.grpc.internal"), Extra: peer.ServerOptions(),
	})
	peer.Register(g.sidecar, g.blocks.invoke)
	return nil
}

// run serves until the context ends and returns when everything is closed.
func (g *generation) run(ctx context.Context) error {
	// Each has its own end: components outlive the servers, which outlive the
	// context by the grace period.
	serveCtx, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	componentsCtx, stopComponents := context.WithCancel(context.WithoutCancel(ctx))
	defer stopComponents()

	var group errgroup.Group
	failed := make(chan error, 1)
	start := func(f func() error) {
		group.Go(func() error {
			err := f()
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			return err
		})
	}

	tried := make(chan struct{})
	start(func() error {
		return g.components.run(componentsCtx, g.set.components, g.updates, func() { close(tried) })
	})
	start(func() error { return g.openEndpoints(componentsCtx) })
	start(func() error { return g.watchApp(serveCtx) })

	err := g.settle(ctx, tried, failed)
	drain := func() {}
	if err == nil && ctx.Err() == nil {
		g.serve(serveCtx, start)
		start(func() error { return g.announceReady(serveCtx) })
		close(g.serving)
		if drain, err = g.hold(ctx, failed); errors.Is(err, errForced) {
			return err
		}
	}
	g.ready.set(targetRunning, "shutting down")
	stopServing()
	stopComponents()
	drain()
	if waitErr := group.Wait(); err == nil {
		err = waitErr
	}
	return errors.Join(err, g.close(ctx))
}

// settle waits, not for long, until the generation can answer well: the first
// one when every component was tried once, for the app may wait for the API; a
// later one when all is ready.
func (g *generation) settle(ctx context.Context, tried <-chan struct{}, failed <-chan error) error {
	patience := laterAttempts
	if g.first {
		patience = firstAttempts
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	case <-tried:
		if !g.first {
			_ = g.ready.wait(ctx) // health tells what is missing then
		}
	}
	return nil
}

var errForced = errors.New("ended at once, on request of the API")

// hold serves until the end or until another generation has taken over. drain
// waits for the HTTP calls that are still running here.
func (g *generation) hold(ctx context.Context, failed <-chan error) (drain func(), err error) {
	select {
	case <-ctx.Done():
		select {
		case drain = <-g.succeeded:
			return drain, nil
		default:
			g.blockShutdown()
		}
	case err = <-failed:
	case drain = <-g.succeeded:
		return drain, nil
	case <-g.forced:
		return nil, errForced
	}
	g.log.Info("Dapr is shutting down")
	return g.s.endServing, err
}

// close ends what the servers stood on.
func (g *generation) close(ctx context.Context) error {
	var errs []error
	errs = append(errs, g.blocks.invoke.Close())
	if g.app != nil {
		errs = append(errs, g.app.Close())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(g.s.o.GracefulShutdown, time.Second))
	defer cancel()
	return errors.Join(append(errs, g.components.close(ctx))...)
}

// serve starts every server on a lease of its listeners.
func (g *generation) serve(ctx context.Context, start func(func() error)) {
	l, runtimeLog := g.s.listeners, g.log
	if g.first {
		g.s.serveHTTP(g)
	}
	start(func() error { return g.grpc.Serve(ctx, leases(l.grpc...)...) })
	start(func() error { return g.sidecar.Serve(ctx, leases(l.internal)...) })
	if dir := g.s.o.UnixDomainSocket; dir != "" {
		runtimeLog.Info("HTTP and gRPC servers are running on unix domain sockets in " + dir)
	} else {
		runtimeLog.Info(fmt.Sprintf("HTTP server is running on port %d", portOf(l.http...)))
		runtimeLog.Info(fmt.Sprintf("API gRPC server is running on port %d", portOf(l.grpc...)))
	}
	runtimeLog.Info(fmt.Sprintf("Internal gRPC server is running on :%d", portOf(l.internal)))
	if l.public != nil {
		runtimeLog.Info(fmt.Sprintf("Public HTTP server is running on port %d", portOf(l.public)))
	}
	if l.metrics != nil {
		start(func() error { return servePlain(ctx, l.metrics, g.metrics.Handler()) })
		runtimeLog.Info(fmt.Sprintf("metrics server started on %s/", net.JoinHostPort(g.s.o.MetricsAddress, strconv.Itoa(portOf(l.metrics)))))
	}
	if l.profile != nil {
		start(func() error { return servePlain(ctx, l.profile, profiles()) })
		runtimeLog.Info(fmt.Sprintf("profiling server is running on port %d", portOf(l.profile)))
	}
	g.ready.set(targetServers, "")
}

// watchApp waits for the app and then follows its health.
func (g *generation) watchApp(ctx context.Context) error {
	if g.app == nil {
		return nil
	}
	if err := g.app.WaitListening(ctx); err != nil {
		return nil //nolint:nilerr // the sidecar ends before the app began
	}
	health := g.app.Health()
	if health == nil {
		g.ready.set(targetApp, "")
		return nil
	}
	g.ready.set(targetApp, "not probed yet")
	if err := health.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// announceReady writes the line that people and tools wait for.
func (g *generation) announceReady(ctx context.Context) error {
	if g.ready.wait(ctx) == nil {
		g.log.Info(fmt.Sprintf("dapr initialized. Status: Running. Init Elapsed %dms", time.Since(g.began).Milliseconds()))
	}
	return nil
}

// blockShutdown keeps serving after a signal for as long as the user asked, or
// until the app is unhealthy.
func (g *generation) blockShutdown() {
	wait := g.s.o.BlockShutdown
	if wait <= 0 {
		return
	}
	g.log.Info(fmt.Sprintf("shutdown is blocked for %s, or until the app is unhealthy", wait))
	deadline := time.After(wait)
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-deadline:
			return
		case <-poll.C:
			if g.app != nil && g.app.Health() != nil && !g.app.Health().Healthy() {
				return
			}
		}
	}
}

// servePlain serves a handler that needs nothing of the API's middleware.
func servePlain(ctx context.Context, l *held, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l.lease()); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func apiFilter(api resource.API) apifilter.Filter {
	convert := func(rules []resource.APIRule) []apifilter.Rule {
		var out []apifilter.Rule
		for _, r := range rules {
			out = append(out, apifilter.Rule{Name: r.Name, Version: r.Version, Protocol: r.Protocol})
		}
		return out
	}
	return apifilter.Filter{Allowed: convert(api.Allowed), Denied: convert(api.Denied)}
}

func httpMetricsOptions(m resource.MetricSpec) httpapi.MetricsOptions {
	o := httpapi.MetricsOptions{}
	for _, bucket := range m.LatencyDistributionBuckets {
		o.LatencyBuckets = append(o.LatencyBuckets, float64(bucket))
	}
	if m.HTTP != nil {
		o.LowCardinality = m.HTTP.IncreasedCardinality != nil && !*m.HTTP.IncreasedCardinality
		o.PathMatching, o.ExcludeVerbs = m.HTTP.PathMatching, m.HTTP.ExcludeVerbs
	}
	return o
}

// describe is everything but the extended part of the metadata.
func (g *generation) describe() *runtimev1.GetMetadataResponse {
	o := g.s.o
	res := &runtimev1.GetMetadataResponse{
		Id: o.AppID, RuntimeVersion: build.Version(), EnabledFeatures: g.set.config.EnabledFeatures(),
		ActorRuntime: &runtimev1.ActorRuntime{RuntimeStatus: runtimev1.ActorRuntime_DISABLED},
	}
	for _, c := range g.components.loaded() {
		res.RegisteredComponents = append(res.RegisteredComponents, &runtimev1.RegisteredComponents{
			Name: c.name, Type: c.typ, Version: c.version, Capabilities: c.capabilities,
		})
	}
	for _, e := range g.set.endpoints {
		res.HttpEndpoints = append(res.HttpEndpoints, &runtimev1.MetadataHTTPEndpoint{Name: e.Name()})
	}
	if g.app == nil {
		return res
	}
	res.AppConnectionProperties = &runtimev1.AppConnectionProperties{
		Port: int32(o.AppPort), Protocol: o.AppProtocol, ChannelAddress: o.AppChannelAddress, MaxConcurrency: int32(max(o.AppMaxConcurrency, 0)),
	}
	if o.AppHealthCheck {
		res.AppConnectionProperties.Health = &runtimev1.AppConnectionHealthProperties{
			HealthCheckPath: o.AppHealthPath, HealthProbeInterval: o.AppHealthInterval.String(),
			HealthProbeTimeout: o.AppHealthTimeout.String(), HealthThreshold: int32(o.AppHealthThreshold),
		}
	}
	return res
}
