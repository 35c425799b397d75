package placement

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// namespace is a set of sidecars that share their tables. Everything in it is
// guarded by the directory's mutex.
type namespace struct {
	*directory

	name    string
	members []*member // those that have reported, oldest first
	// version is that of the tables: 0 before there are any, then it only grows.
	version uint64
	tables  map[string]*placementv1.PlacementTable
	// changed tells that the tables may not be what the members report.
	changed bool
	round   *round // nil while there is nothing to tell

	window    *time.Timer // runs while changes are collected
	collected bool        // they have been
}

// round is the way of some members through the phases. A full round is one of
// all members to a new version. Newcomers that change nothing are taken through
// a round of their own to the version that there is.
type round struct {
	version uint64
	phase   phase
	members []*member // without those that have left
	waiting map[*member]struct{}
	timer   *time.Timer
}

// phase is a step of a round. No member enters one before all have acknowledged
// the one before.
type phase int

const (
	begun phase = iota
	greet       // lock those who have no tables yet: one that never answers stops nobody else
	lock        // and then the others
	update
	unlock
)

// phases have the words of the protocol.
var phases = [...]struct {
	order string
	ack   placementv1.HostOperation
}{
	greet:  {"lock", placementv1.HostOperation_LOCK},
	lock:   {"lock", placementv1.HostOperation_LOCK},
	update: {"update", placementv1.HostOperation_UPDATE},
	unlock: {"unlock", placementv1.HostOperation_UNLOCK},
}

func (r *round) remove(m *member) {
	r.members = slices.DeleteFunc(r.members, func(o *member) bool { return o == m })
	delete(r.waiting, m)
}

// proceed does what can be done now. It is called after everything that
// happens.
func (n *namespace) proceed() {
	for {
		switch r := n.round; {
		case r == nil:
			if n.round = n.next(); n.round == nil {
				return
			}
		case len(r.waiting) > 0:
			return
		case r.phase == unlock:
			n.finish()
		default:
			n.enter(r.phase + 1)
		}
	}
}

// next is the round that is needed now, or nil.
func (n *namespace) next() *round {
	if len(n.members) == 0 {
		n.close()
		return nil
	}
	if n.changed && n.version > 0 && maps.EqualFunc(n.tables, tables(n.members), equal) {
		n.changed = false // who left has come back
	}
	if n.changed && n.collect() {
		n.changed = false
		return &round{version: n.version + 1, members: slices.Clone(n.members)}
	}
	var newcomers []*member
	for _, m := range n.members {
		// With actors it is part of what is being collected.
		if !m.served && !(n.changed && hosts(m.host)) {
			newcomers = append(newcomers, m)
		}
	}
	if n.version == 0 || len(newcomers) == 0 {
		return nil
	}
	return &round{version: n.version, members: newcomers}
}

// collect tells whether changes have been collected for long enough.
func (n *namespace) collect() bool {
	if n.coalesceWindow == 0 || n.collected {
		n.collected = false
		return true
	}
	if n.window == nil {
		n.window = time.AfterFunc(n.coalesceWindow, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.window == nil {
				return // closed meanwhile
			}
			n.window, n.collected = nil, true
			n.proceed()
		})
	}
	return false
}

// enter has everybody in the round do a phase.
func (n *namespace) enter(p phase) {
	r := n.round
	order := &placementv1.PlacementOrder{Operation: phases[p].order, Version: r.version}
	if p == update {
		if r.version != n.version {
			// What is true now: who left after the lock is not in it. Who came after it
			// has not stopped and waits for the next round.
			n.version, n.tables = r.version, tables(r.members)
		}
		order.Tables = &placementv1.PlacementTables{
			Entries: n.tables, ReplicationFactor: n.replication,
			Version: strconv.FormatUint(n.version, 10), //nolint:staticcheck // older sidecars know no other
		}
	}
	r.phase, r.waiting = p, make(map[*member]struct{}, len(r.members))
	for _, m := range slices.Clone(r.members) {
		if p == greet && m.served || p == lock && !m.served {
			continue
		}
		select {
		case m.orders <- order:
			if !m.silent {
				r.waiting[m] = struct{}{}
			}
		default:
			n.end(m, status.Error(codes.DeadlineExceeded, "the sidecar does not read its orders"))
		}
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	r.timer = time.AfterFunc(n.timeout, func() { n.expire(r, p) })
	n.log.Debug("a round has entered a phase", "namespace", n.name, "phase", phases[p].order, "version", r.version, "sidecars", len(r.members))
}

// acknowledge takes a member through the phase. What is late, or about another
// version, is of no use and does no harm.
func (n *namespace) acknowledge(m *member, op placementv1.HostOperation, version uint64) {
	if r := n.round; r != nil && r.version == version && phases[r.phase].ack == op {
		delete(r.waiting, m)
		n.proceed()
	}
}

// expire ends the streams that hold up everybody else.
func (n *namespace) expire(r *round, p phase) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.round != r || r.phase != p {
		return
	}
	for m := range maps.Clone(r.waiting) {
		n.log.Warn("a sidecar did not acknowledge in time: its stream is ended", "namespace", n.name, "app", m.host.GetId(), "host", m.host.GetName(), "phase", phases[p].order, "version", r.version)
		n.end(m, status.Errorf(codes.DeadlineExceeded, "no acknowledgement of %s of version %d within %v", phases[p].order, r.version, n.timeout))
	}
	n.proceed()
}

func (n *namespace) finish() {
	n.round.timer.Stop()
	for _, m := range n.round.members {
		m.served = true
	}
	n.round = nil
}

// close forgets a namespace without members.
func (n *namespace) close() {
	if n.round != nil && n.round.timer != nil {
		n.round.timer.Stop()
	}
	if n.window != nil {
		n.window.Stop()
	}
	n.round, n.window = nil, nil
	if n.namespaces[n.name] == n {
		delete(n.namespaces, n.name)
		n.metrics.forget(n.name)
	}
}

// count tells the metrics how many there are.
func (n *namespace) count() {
	withActors := 0
	for _, m := range n.members {
		if hosts(m.host) {
			withActors++
		}
	}
	n.metrics.count(n.name, len(n.members), withActors)
}

// tables are the hosts of every actor type. Of two streams of one host, as while
// a connection that broke is not known to be broken, the older one counts: a
// host's name cannot be taken by another app.
func tables(members []*member) map[string]*placementv1.PlacementTable {
	entries := make(map[string]*placementv1.PlacementTable)
	byName := make(map[string]*placementv1.Host)
	for _, m := range members {
		if !hosts(m.host) {
			continue
		}
		name := m.host.GetName()
		host := cmp.Or(byName[name], &placementv1.Host{Name: name, Port: m.host.GetPort(), Id: m.host.GetId()})
		byName[name] = host
		for _, actorType := range m.host.GetEntities() {
			table := entries[actorType]
			if table == nil {
				table = &placementv1.PlacementTable{LoadMap: make(map[string]*placementv1.Host)}
				entries[actorType] = table
			}
			table.LoadMap[name] = host
		}
	}
	return entries
}

func equal(a, b *placementv1.PlacementTable) bool { return proto.Equal(a, b) }
