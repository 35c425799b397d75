package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/httpapi"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/signals"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	build "github.com/hyperdapr/dapr/pkg/version"
)

// scopeRuntime is the log scope of the process as a whole.
const scopeRuntime = "dapr.runtime"

// scopeHTTP is that of the HTTP faces.
const scopeHTTP = "dapr.runtime.http"

// Sidecar is one sidecar: what its flags say, and what it holds for its whole
// life. What it reads from resources belongs to a generation, which a reload
// replaces.
type Sidecar struct {
	o         *Options
	lookupEnv LookupEnv
	base      *slog.Logger // without a scope
	log       *slog.Logger
	started   time.Time
	listeners *listeners
	source    source
	identity  *identity // nil without mTLS
	warned    map[string]bool

	// operatorConn is the connection to the operator; nil outside Kubernetes.
	operatorConn *grpc.ClientConn
	// registration is the entry in the machine's registry; nil when there is
	// none.
	registration *instances.Registration

	extended extended
	// api and public hold the HTTP connections while generations come and go.
	api, public *httpapi.Front
	// httpFailed receives why one of them ended by itself.
	httpFailed chan error
	// endServing gives the ports free and waits for the HTTP calls that run; nil
	// until the first generation serves.
	endServing func()
}

// New binds the ports and announces the sidecar on this machine. Close it.
func New(o *Options, env LookupEnv, log *slog.Logger) (*Sidecar, error) {
	inherited, err := freeport.Adopt(env.get(freeport.Env))
	if err != nil {
		return nil, err
	}
	defer inherited.Close()
	l, err := bind(o, inherited)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{
		o: o, lookupEnv: env, base: log, log: telemetry.Scope(log, scopeRuntime), started: time.Now(),
		listeners: l, httpFailed: make(chan error, 2), warned: make(map[string]bool),
		source: resource.Disk{Configurations: o.ConfigPaths, Folders: o.ResourcesPaths, Filter: resource.Filter{AppID: o.AppID, Namespace: o.Namespace}},
	}
	if err := s.join(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.register()
	return s, nil
}

// join prepares the sidecar's place in a control plane: who it is, and in
// Kubernetes where its resources come from.
func (s *Sidecar) join() (err error) {
	if s.identity, err = s.newIdentity(); err != nil || s.o.Mode != ModeKubernetes {
		return err
	}
	s.source, s.operatorConn, err = s.operator()
	return err
}

// register makes the entry in the machine's registry. Without one the sidecar
// works, but other apps here do not find it.
func (s *Sidecar) register() {
	if s.o.Mode != ModeStandalone {
		return
	}
	dir := instances.RuntimeDir(s.lookupEnv)
	if dir == "" {
		s.log.Warn("no home folder is known, so other apps on this machine cannot find this one: set HOME or DAPR_RUNTIME_PATH")
		return
	}
	r, err := instances.Register(instances.Folder(dir), instances.Instance{
		AppID: s.o.AppID, Namespace: s.o.Namespace, PID: os.Getpid(), Started: s.started,
		Address:  s.internalAddress(),
		HTTPPort: portOf(s.listeners.http...), GRPCPort: portOf(s.listeners.grpc...),
		MetricsPort: portOf(s.listeners.metrics), AppPort: s.o.AppPort, SocketDir: s.o.UnixDomainSocket,
		MetricsEnabled: s.o.EnableMetrics, MaxBodySize: s.o.MaxBodySize, ReadBufferSize: s.o.ReadBufferSize,
	})
	if err != nil {
		s.log.Warn("other apps on this machine cannot find this one: " + err.Error())
		return
	}
	s.registration = r
	s.extended.stored = r.SetExtended
}

// internalAddress is where other sidecars on this machine reach this one.
func (s *Sidecar) internalAddress() string {
	host := s.o.InternalAddress
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(portOf(s.listeners.internal)))
}

// hostAddress is where other machines reach this one: what the environment says,
// else the address of the way out, else the loopback one.
func (s *Sidecar) hostAddress() string {
	if ip := s.lookupEnv.get("DAPR_HOST_IP"); ip != "" {
		return ip
	}
	// Connecting a UDP socket sends nothing; it only picks a source address.
	conn, err := net.Dial("udp", "192.0.2.1:9") // reserved for documentation: RFC 5737
	if err != nil {
		return "127.0.0.1"
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

// Close gives the ports free and takes the entry out of the registry.
func (s *Sidecar) Close() error {
	err := s.listeners.close()
	if s.operatorConn != nil {
		err = errors.Join(err, s.operatorConn.Close())
	}
	if s.registration != nil {
		err = errors.Join(err, s.registration.Close())
	}
	return err
}

// Run serves until the context ends, then ends gracefully. A value on reload
// makes it read its Configuration and resources anew and start over with them,
// on the same ports; a change of the resources replaces only what changed. What
// has a mistake is refused, and the old goes on. Nil is a clean end.
func (s *Sidecar) Run(ctx context.Context, reload <-chan struct{}) error {
	s.log.Info(fmt.Sprintf("Starting Dapr Runtime -- version %s -- commit %s", build.Version(), build.Commit()),
		"go", runtime.Version())
	s.log.Info(s.o.Mode + " mode configured")
	s.log.Info("app id: " + s.o.AppID)
	for _, w := range s.o.Warnings {
		s.log.Warn(w)
	}

	if s.identity != nil {
		if err := s.identity.start(ctx, s); err != nil {
			return err
		}
	}
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	if set.config.FeatureEnabled("HotReload") {
		watchCtx, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if err := s.source.Watch(watchCtx, func() { signal(changed) }); err != nil {
				s.log.Warn("changes of the resources take effect at the next reload only: " + err.Error())
			}
		}()
	}
	err = s.serve(ctx, set, reload, changed)
	s.log.Info("Dapr runtime stopped")
	return err
}

// signal leaves one value in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// serve runs one generation after another until the context ends. The next one
// is ready before the one before ends, and takes its calls over.
func (s *Sidecar) serve(ctx context.Context, set *settings, reload, changed <-chan struct{}) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	current, err := s.begin(ctx, set, s.started, stop)
	if current == nil || err != nil {
		return err
	}
	for {
		asked := true
		select {
		case err := <-current.done:
			return err
		case err := <-s.httpFailed:
			stop()
			return errors.Join(err, <-current.done)
		case <-reload:
		case <-changed:
			asked = false
		}
		next, err := s.load(ctx)
		if err == nil && !asked && next.sameButComponents(set) {
			select {
			case current.updates <- next.components:
			case err := <-current.done:
				return err
			}
			continue
		}
		var successor *generation
		if err == nil {
			s.log.Info("Dapr is reloading its configuration and resources")
			successor, err = s.begin(ctx, next, time.Now(), stop)
		}
		switch {
		case ctx.Err() != nil:
			return <-current.done
		case err != nil:
			s.log.Error("reload refused; the old configuration and resources stay: " + err.Error())
			continue
		}
		current.succeeded <- s.takeOver(successor)
		if err := <-current.done; err != nil {
			s.log.Warn("the sidecar was reloaded, but did not close all of what was before: " + err.Error())
		}
		current, set = successor, next
	}
}

// begin makes a generation and returns it when it serves; nil without an error
// means that the context ended before.
func (s *Sidecar) begin(ctx context.Context, set *settings, began time.Time, stop func()) (*generation, error) {
	g, err := s.newGeneration(set, began, stop)
	if err != nil {
		return nil, err
	}
	go func() { g.done <- g.run(ctx) }()
	select {
	case <-g.serving:
		return g, nil
	case err := <-g.done:
		return nil, err
	}
}

// serveHTTP serves the HTTP faces for as long as the sidecar lives.
func (s *Sidecar) serveHTTP(first *generation) {
	o := httpapi.FrontOptions{
		ReadBuffer: int(s.o.ReadBufferSize), DisableH2C: s.o.DisableH2C, Grace: s.o.GracefulShutdown,
		Log: telemetry.Scope(s.base, scopeHTTP),
	}
	s.api, s.public = httpapi.NewFront(o, first.http), httpapi.NewFront(o, first.public)
	ctx, end := context.WithCancel(context.Background())
	var group sync.WaitGroup
	serve := func(f *httpapi.Front, on ...*held) {
		group.Go(func() {
			if err := f.Serve(ctx, leases(on...)...); err != nil {
				s.httpFailed <- err
			}
		})
	}
	serve(s.api, s.listeners.http...)
	if s.listeners.public != nil {
		serve(s.public, s.listeners.public)
	}
	s.endServing = func() {
		end()
		if err := s.listeners.close(); err != nil {
			s.log.Warn("giving the ports free: " + err.Error())
		}
		group.Wait()
	}
}

// takeOver makes the successor answer HTTP calls. drained waits for those that
// the generation before still answers.
func (s *Sidecar) takeOver(successor *generation) (drained func()) {
	api, public := s.api.Replace(successor.http), s.public.Replace(successor.public)
	return func() {
		api()
		public()
	}
}

// run runs one sidecar until a signal: the first ends it gracefully, a second
// one at once.
func run(sig signals.Signals, o *Options, env LookupEnv, log *slog.Logger) error {
	s, err := New(o, env, log)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(s.Run(sig.Stop, sig.Reload), s.Close()) }()
	select {
	case err := <-done:
		return err
	case <-sig.Forced.Done():
		err := context.Cause(sig.Forced)
		if !errors.Is(err, signals.ErrForced) {
			return <-done
		}
		return errors.Join(err, s.Close())
	}
}
