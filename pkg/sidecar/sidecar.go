package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hyperdapr/dapr/pkg/freeport"
	"github.com/hyperdapr/dapr/pkg/instances"
	"github.com/hyperdapr/dapr/pkg/resource"
	"github.com/hyperdapr/dapr/pkg/signals"
	"github.com/hyperdapr/dapr/pkg/telemetry"
	build "github.com/hyperdapr/dapr/pkg/version"
)

// scopeRuntime is the log scope of the process as a whole.
const scopeRuntime = "dapr.runtime"

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

	mu       sync.Mutex
	extended map[string]string // extended metadata, kept across reloads
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
		listeners: l, extended: make(map[string]string), warned: make(map[string]bool),
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

// setExtended keeps one key of the extended metadata.
func (s *Sidecar) setExtended(key, value string) error {
	s.mu.Lock()
	s.extended[key] = value
	s.mu.Unlock()
	if s.registration == nil {
		return nil
	}
	return s.registration.SetExtended(key, value)
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
	began := s.started
	for {
		next, err := s.runGeneration(ctx, set, began, reload, changed)
		if err != nil || next == nil {
			s.log.Info("Dapr runtime stopped")
			return err
		}
		s.log.Info("Dapr is reloading its configuration and resources")
		set, began = next, time.Now()
	}
}

// signal leaves one value in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runGeneration serves one reading of the resources. It returns the next one
// when that takes a new generation, and nil settings at the end.
func (s *Sidecar) runGeneration(ctx context.Context, set *settings, began time.Time, reload, changed <-chan struct{}) (*settings, error) {
	genCtx, end := context.WithCancel(ctx)
	defer end()
	s.mu.Lock()
	extended := maps.Clone(s.extended)
	s.mu.Unlock()
	g, err := s.newGeneration(set, began, extended, end)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- g.run(genCtx) }()
	for {
		asked := true
		select {
		case err := <-done:
			return nil, err
		case <-reload:
		case <-changed:
			asked = false
		}
		next, err := s.load(ctx)
		switch {
		case err != nil:
			s.log.Error("reload refused; the old configuration and resources stay: " + err.Error())
		case !asked && next.sameButComponents(set):
			select {
			case g.updates <- next.components:
			case err := <-done:
				return nil, err
			}
		default:
			g.reloading.Store(true)
			end()
			if err := <-done; err != nil || ctx.Err() != nil {
				return nil, err
			}
			return next, nil
		}
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
