package placement

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// peerTimeout is how long another replica has to accept and to answer.
const peerTimeout = 5 * time.Second

// startRaft joins the election. end releases what raft's own end does not.
func startRaft(o *options, layer *peerLayer, log *slog.Logger) (r *raft.Raft, end func(), err error) {
	self, _ := o.self()
	logger := raftLogger(log)
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: layer, MaxPool: len(o.peers), Timeout: peerTimeout, Logger: logger,
	})
	logs, stable, end, err := openLog(o.logPath)
	if err != nil {
		return nil, nil, errors.Join(err, transport.Close())
	}
	defer func() {
		if err != nil {
			end()
			err = errors.Join(err, transport.Close())
		}
	}()
	snapshots := raft.NewDiscardSnapshotStore()

	c := raft.DefaultConfig()
	c.LocalID, c.Logger = self.ID, logger
	// The log has only elections in it: it stays short, and a snapshot would have
	// nothing to say.
	c.SnapshotThreshold = math.MaxUint64
	// Nobody waits for followers to hear of a commit.
	c.CommitTimeout = c.HeartbeatTimeout / 2
	c.ShutdownOnRemove = false // it may be asked to come back
	r, err = raft.NewRaft(c, nothing{}, logs, stable, snapshots, transport)
	if err != nil {
		return nil, nil, fmt.Errorf("join the election: %w", err)
	}
	return r, end, nil
}

// openLog returns the log of elections: in memory without a path.
func openLog(path string) (raft.LogStore, raft.StableStore, func(), error) {
	if path == "" {
		s := raft.NewInmemStore()
		return s, s, func() {}, nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("--raft-logstore-path %q: %w", path, err)
	}
	s, err := raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(path, "raft.db"),
		BoltOptions: &bbolt.Options{Timeout: peerTimeout}, // for another process to let go of it
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("--raft-logstore-path %q: %w", path, err)
	}
	return s, s, func() { _ = s.Close() }, nil
}

// nothing is what the replicas agree on besides the leader.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// peerLayer is how replicas reach each other: over TLS, where each proves that
// it is placement, or in the clear.
type peerLayer struct {
	net.Listener
	self raft.ServerAddress
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newPeerLayer(self raft.ServerAddress, l net.Listener, takeIn func(question) (answer, bool), identity *security.Provider) *peerLayer {
	p := &peerLayer{self: self, dial: new(net.Dialer).DialContext}
	if identity == nil {
		p.Listener = newAskable(l, takeIn)
		return p
	}
	server := security.ServerConfig(identity, identity.Anchors())
	server.VerifyConnection = func(state tls.ConnectionState) error {
		if got, ok := security.ConnectionID(state); !ok || got != identity.ID() {
			return fmt.Errorf("the replica is %s, not %s", got, identity.ID())
		}
		return nil
	}
	p.Listener = newAskable(tls.NewListener(l, server), takeIn)
	expect := func(got security.ID) error { return security.Exactly(identity.ID())(got) }
	p.dial = (&tls.Dialer{Config: security.ClientConfig(identity, identity.Anchors(), expect)}).DialContext
	return p
}

// Dial implements raft.StreamLayer.
func (p *peerLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.dial(ctx, "tcp", string(address))
}

// Addr is the address that the others know, not the one that is bound.
func (p *peerLayer) Addr() net.Addr { return peerAddr(p.self) }

type peerAddr string

func (peerAddr) Network() string  { return "tcp" }
func (a peerAddr) String() string { return string(a) }

// raftLogger has raft write to our log. What it calls info is of use only to
// who studies an election.
func raftLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Output: io.Discard, Level: hclog.Off})
	l.RegisterSink(sink{telemetry.Scope(log, "dapr.placement.raft")})
	return l
}

type sink struct{ log *slog.Logger }

func (s sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn {
		// Raft goes on whatever happens: its errors are about others.
		to = slog.LevelWarn
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	s.log.Log(context.Background(), to, msg, args...)
}
