package placement

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hyperdapr/dapr/pkg/security"
)

// directory is what the leader knows: the sidecars that are connected, by
// namespace. It never blocks: orders wait in each member's queue. It is safe for
// concurrent use.
type directory struct {
	id             string
	timeout        time.Duration // for each phase of a round
	coalesceWindow time.Duration
	replication    int64
	log            *slog.Logger
	metrics        *metrics

	mu         sync.Mutex
	leading    bool
	leader     string // as far as is known
	streams    map[*member]struct{}
	namespaces map[string]*namespace
}

func newDirectory(o *options, log *slog.Logger, m *metrics) *directory {
	return &directory{
		id: o.id, timeout: o.disseminateTimeout, coalesceWindow: o.coalesceWindow, replication: o.replication, log: log, metrics: m,
		streams: make(map[*member]struct{}), namespaces: make(map[string]*namespace),
	}
}

// member is one stream.
type member struct {
	// orders are to be sent, oldest first.
	orders chan *placementv1.PlacementOrder
	// ended is closed when the stream is to end with err.
	ended chan struct{}
	err   error

	// Below is the directory's.

	ns   *namespace        // nil before the first report
	host *placementv1.Host // the last report
	// silent members speak the protocol of before there were acknowledgements:
	// nobody waits for them.
	silent bool
	// served tells that it has been through a round.
	served bool
}

// queue is how many orders a member may be behind: a round is three, and who
// acknowledges is never behind by more than one.
const queue = 12

// connect makes a member of a stream, or says why it must go elsewhere.
func (d *directory) connect() (*member, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.leading {
		return nil, d.notLeader()
	}
	m := &member{orders: make(chan *placementv1.PlacementOrder, queue), ended: make(chan struct{})}
	d.streams[m] = struct{}{}
	return m, nil
}

func (d *directory) notLeader() error {
	who := "none is elected yet"
	if d.leader != "" && d.leader != d.id {
		who = fmt.Sprintf("%q is", d.leader)
	}
	return status.Errorf(codes.FailedPrecondition, "placement %q is not a leader: %s", d.id, who)
}

// receive takes what a sidecar says. caller is who it has proved to be, if
// proofs are asked for.
func (d *directory) receive(m *member, h *placementv1.Host, caller *security.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.streams[m]; !ok {
		return nil // it has just been ended
	}
	switch op := h.GetOperation(); op {
	case placementv1.HostOperation_REPORT, placementv1.HostOperation_UNKNOWN:
		if op == placementv1.HostOperation_UNKNOWN && h.Version != nil {
			return status.Error(codes.InvalidArgument, "a version came without an operation")
		}
		if err := validate(h, caller); err != nil {
			return err
		}
		if m.host != nil && (m.host.GetNamespace() != h.GetNamespace() || m.host.GetId() != h.GetId()) {
			return status.Errorf(codes.InvalidArgument, "the sidecar of app %q in namespace %q cannot become another one: open a new stream", m.host.GetId(), m.host.GetNamespace())
		}
		d.report(m, h)
		return nil
	case placementv1.HostOperation_LOCK, placementv1.HostOperation_UPDATE, placementv1.HostOperation_UNLOCK:
		switch {
		case h.Version == nil:
			return status.Errorf(codes.InvalidArgument, "the acknowledgement of %s has no version", op)
		case m.host == nil:
			return status.Errorf(codes.InvalidArgument, "an acknowledgement of %s came before the first report", op)
		}
		m.ns.acknowledge(m, op, h.GetVersion())
		return nil
	default:
		return status.Errorf(codes.InvalidArgument, "operation %d is not known", op)
	}
}

// report enters or replaces what a sidecar hosts.
func (d *directory) report(m *member, h *placementv1.Host) {
	if m.host == nil {
		n := d.namespaces[h.GetNamespace()]
		if n == nil {
			n = &namespace{directory: d, name: h.GetNamespace(), changed: true}
			d.namespaces[n.name] = n
		}
		m.ns, m.silent = n, h.GetOperation() == placementv1.HostOperation_UNKNOWN
		n.members = append(n.members, m)
		d.log.Debug("a sidecar has connected", "namespace", h.GetNamespace(), "app", h.GetId(), "host", h.GetName(), "types", len(h.GetEntities()))
	} else if h.GetName() == m.host.GetName() && h.GetPort() == m.host.GetPort() && slices.Equal(h.GetEntities(), m.host.GetEntities()) {
		return
	}
	m.ns.changed = m.ns.changed || hosts(m.host) || hosts(h)
	m.host = h
	m.ns.count()
	m.ns.proceed()
}

// hosts tells whether the sidecar has actors.
func hosts(h *placementv1.Host) bool { return len(h.GetEntities()) > 0 }

// leave forgets a stream that has ended.
func (d *directory) leave(m *member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(m)
	if m.ns != nil {
		m.ns.proceed()
	}
}

// end has a stream end with an error. The caller lets the namespace proceed.
func (d *directory) end(m *member, err error) {
	if _, ok := d.streams[m]; !ok {
		return
	}
	d.remove(m)
	m.err = err
	close(m.ended)
}

func (d *directory) remove(m *member) {
	if _, ok := d.streams[m]; !ok {
		return
	}
	delete(d.streams, m)
	if n := m.ns; n != nil {
		n.members = slices.DeleteFunc(n.members, func(o *member) bool { return o == m })
		n.changed = n.changed || hosts(m.host)
		if n.round != nil {
			n.round.remove(m)
		}
		n.count()
	}
}

// lead begins with nothing known: sidecars will come.
func (d *directory) lead() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leading, d.leader = true, d.id
}

// follow tells who leads; empty when nobody knows. It does not end leading.
func (d *directory) follow(leader string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leader = leader
}

// resign ends leading and every stream: with an error that sends sidecars to
// another replica when err is nil.
func (d *directory) resign(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leading = false
	if d.leader == d.id {
		d.leader = ""
	}
	if err == nil {
		err = d.notLeader()
	}
	for m := range maps.Clone(d.streams) {
		d.end(m, err)
	}
	for _, n := range maps.Clone(d.namespaces) {
		n.close()
	}
}

// serveState answers with everything that is known.
func (d *directory) serveState(w http.ResponseWriter, _ *http.Request) {
	text, err := protojson.Marshal(d.state())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

func (d *directory) state() *placementv1.StatePlacementTables {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &placementv1.StatePlacementTables{Tables: make(map[string]*placementv1.StatePlacementTable)}
	for name, n := range d.namespaces {
		t := &placementv1.StatePlacementTable{Version: n.version}
		for _, m := range n.members {
			h := proto.CloneOf(m.host)
			h.Operation = placementv1.HostOperation_UNKNOWN // it says nothing about the host
			t.Hosts = append(t.Hosts, h)
		}
		s.Tables[name] = t
	}
	return s
}
