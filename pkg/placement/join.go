package placement

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A replica without a log of elections does not know whether it is one of the
// first or one that comes back, or anew, to those that have long begun. Were it
// to begin a log with the list it was started with, it could elect a second
// leader out of replicas with the new list while those with the old one have
// theirs; and were it to wait, it would wait for a leader that has never heard
// of it. So it asks the others: a leader takes it in, and only when most of the
// list have no log either does it begin one.

const (
	// askMark is the first byte of a connection with such a question; raft's own
	// begin with smaller ones.
	askMark = 0xd0
	// askEvery is how often a replica without a leader asks.
	askEvery = 250 * time.Millisecond
	// maxQuestion bounds a question, in bytes.
	maxQuestion = 4 << 10
)

// question is who asks.
type question struct {
	ID      raft.ServerID      `json:"id"`
	Address raft.ServerAddress `json:"address"`
}

// answer is what a replica says about itself.
type answer struct {
	// Begun tells that it has a log of elections.
	Begun bool `json:"begun"`
}

// ask asks one replica.
func ask(layer *peerLayer, address raft.ServerAddress, q question) (a answer, err error) {
	conn, err := layer.Dial(address, peerTimeout)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(peerTimeout)); err != nil {
		return a, err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if _, err := conn.Write(append([]byte{askMark}, text...)); err != nil {
		return a, err
	}
	err = json.NewDecoder(io.LimitReader(conn, maxQuestion)).Decode(&a)
	return a, err
}

// join asks, whenever no leader is known, until the context ends.
func (c *candidate) join(ctx context.Context, self raft.Server) {
	q := question{ID: self.ID, Address: self.Address}
	for {
		if _, leader := c.raft.LeaderWithID(); leader == "" {
			c.askOthers(q)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(askEvery):
		}
	}
}

func (c *candidate) askOthers(self question) {
	var (
		others sync.WaitGroup
		mu     sync.Mutex
		fresh  int // without a log
		begun  bool
	)
	for _, p := range c.peers {
		if p.ID == self.ID {
			continue
		}
		others.Go(func() {
			a, err := ask(c.layer, p.Address, self)
			if err != nil {
				c.log.Debug(fmt.Sprintf("replica %q does not answer: %v", p.ID, err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if a.Begun {
				begun = true
			} else {
				fresh++
			}
		})
	}
	others.Wait()
	if begun || c.begun() || fresh+1 <= len(c.peers)/2 {
		return
	}
	// All begin with the same list, so all may do this.
	err := c.raft.BootstrapCluster(raft.Configuration{Servers: c.peers}).Error()
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) && !errors.Is(err, raft.ErrRaftShutdown) {
		c.log.Warn("the log of elections could not be begun: " + err.Error())
	}
}

// begun tells whether this replica has a log of elections.
func (c *candidate) begun() bool {
	f := c.raft.GetConfiguration()
	return f.Error() == nil && len(f.Configuration().Servers) > 0
}

// takeIn answers a replica that has no leader. If this one leads, the other one
// takes part from now on.
func (c *candidate) takeIn(q question) (a answer, ok bool) {
	select {
	case <-c.started:
	default:
		return a, false // what it has is not known yet
	}
	f := c.raft.GetConfiguration()
	if f.Error() != nil {
		return a, false
	}
	servers := f.Configuration().Servers
	known := slices.ContainsFunc(servers, func(s raft.Server) bool { return s.ID == q.ID && s.Address == q.Address })
	if !known && c.raft.State() == raft.Leader {
		c.log.Info(fmt.Sprintf("replica %q at %s joins the election", q.ID, q.Address))
		if err := c.raft.AddVoter(q.ID, q.Address, 0, peerTimeout).Error(); err != nil {
			c.log.Warn(fmt.Sprintf("replica %q could not join the election: %v", q.ID, err))
		}
	}
	return answer{Begun: len(servers) > 0}, true
}

// askable is a listener that answers questions by itself, and hands on the
// connections that begin with anything else.
type askable struct {
	net.Listener
	takeIn func(question) (answer, bool)

	others chan net.Conn
	failed chan struct{} // closed when err is why there are no more
	err    error
	conns  sync.WaitGroup
}

func newAskable(l net.Listener, takeIn func(question) (answer, bool)) *askable {
	a := &askable{Listener: l, takeIn: takeIn, others: make(chan net.Conn), failed: make(chan struct{})}
	a.conns.Go(func() {
		defer close(a.failed)
		for {
			conn, err := l.Accept()
			if err != nil {
				a.err = err
				return
			}
			a.conns.Go(func() { a.sort(conn) })
		}
	})
	return a
}

// sort reads the first byte of a connection.
func (a *askable) sort(conn net.Conn) {
	r := bufio.NewReaderSize(conn, maxQuestion)
	_ = conn.SetDeadline(time.Now().Add(peerTimeout)) // fails only when it is closed
	first, err := r.Peek(1)
	if err == nil && first[0] != askMark {
		_ = conn.SetDeadline(time.Time{})
		select {
		case a.others <- &peeked{conn, r}:
			return
		case <-a.failed:
		}
	}
	defer conn.Close()
	var q question
	if err == nil {
		_, err = r.Discard(1)
	}
	if err == nil {
		err = json.NewDecoder(io.LimitReader(r, maxQuestion)).Decode(&q)
	}
	if err != nil || first[0] != askMark {
		return
	}
	if answer, ok := a.takeIn(q); ok {
		_ = json.NewEncoder(conn).Encode(answer) // it asks again
	}
}

// Accept implements net.Listener.
func (a *askable) Accept() (net.Conn, error) {
	select {
	case conn := <-a.others:
		return conn, nil
	case <-a.failed:
		return nil, a.err
	}
}

// Close implements net.Listener.
func (a *askable) Close() error {
	err := a.Listener.Close()
	a.conns.Wait()
	return err
}

// peeked is a connection whose first bytes have been looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
