package peer

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// idleAfter is how long a connection that nobody uses is kept.
const idleAfter = 5 * time.Minute

// pool keeps the connections to other sidecars.
type pool struct {
	dial func(Target) (*grpc.ClientConn, error)

	mu     sync.RWMutex
	conns  map[Target]*conn
	closed bool
}

var errClientClosed = errors.New("the client is closed")

// conn carries any number of calls at once.
type conn struct {
	*grpc.ClientConn
	users atomic.Int64 // calls that run now
	used  atomic.Int64 // when the last one ended, Unix seconds
	gone  atomic.Bool  // no longer in the pool: the last user closes it
}

func (c *conn) release() {
	c.used.Store(time.Now().Unix())
	if c.users.Add(-1) == 0 && c.gone.Load() {
		c.Close()
	}
}

// get returns the connection to t, which stays open until release.
func (p *pool) get(t Target) (*conn, error) {
	p.mu.RLock()
	c, ok := p.conns[t]
	if ok {
		c.users.Add(1)
	}
	p.mu.RUnlock()
	if ok {
		return c, nil
	}
	return p.add(t)
}

func (p *pool) add(t Target) (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClientClosed
	}
	c, ok := p.conns[t]
	if !ok {
		cc, err := p.dial(t)
		if err != nil {
			return nil, err
		}
		c = &conn{ClientConn: cc}
		if p.conns == nil {
			p.conns = make(map[Target]*conn)
		}
		p.conns[t] = c
		// A new connection is the moment to look for old ones: where none are
		// made, none pile up.
		p.sweep(time.Now())
	}
	c.users.Add(1)
	return c, nil
}

// drop takes the connection to t out of the pool. Calls on it go on.
func (p *pool) drop(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.conns[t]
	if !ok {
		return
	}
	delete(p.conns, t)
	c.gone.Store(true)
	if c.users.Load() == 0 {
		c.Close()
	}
}

// sweep closes the connections that have been idle for long. It holds p.mu.
func (p *pool) sweep(now time.Time) {
	for t, c := range p.conns {
		used := c.used.Load()
		if used != 0 && c.users.Load() == 0 && now.Unix()-used > int64(idleAfter/time.Second) {
			c.Close()
			delete(p.conns, t)
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for t, c := range p.conns {
		c.Close()
		delete(p.conns, t)
	}
}
