package placement

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/security"
	"github.com/hyperdapr/dapr/pkg/service"
)

// candidate is this replica in the election.
type candidate struct {
	directory *directory
	health    *service.Health
	metrics   *metrics
	log       *slog.Logger

	layer       *peerLayer
	raft        *raft.Raft
	started     chan struct{} // closed when there is raft
	peers       []raft.Server
	reconciling sync.WaitGroup
}

// elect has the replicas agree on a leader until the context ends. A replica
// without others leads at once.
func elect(ctx context.Context, o *options, c *candidate, l net.Listener, identity *security.Provider) error {
	self, _ := o.self()
	if o.alone() {
		c.lead()
		c.health.Set(healthLeader, "")
		<-ctx.Done()
		c.resign(status.Errorf(codes.Unavailable, "placement %q is shutting down", o.id))
		return nil
	}
	c.peers, c.started = o.peers, make(chan struct{})
	c.layer = newPeerLayer(self.Address, l, c.takeIn, identity)
	r, end, err := startRaft(o, c.layer, c.log)
	if err != nil {
		return err
	}
	defer end()
	c.raft = r
	close(c.started)
	var joining sync.WaitGroup
	defer joining.Wait()
	joiningCtx, endJoining := context.WithCancel(ctx)
	defer endJoining()
	joining.Go(func() { c.join(joiningCtx, self) })
	return c.run(ctx)
}

func (c *candidate) run(ctx context.Context) error {
	changes := make(chan raft.Observation, 8)
	observer := raft.NewObserver(changes, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	c.raft.RegisterObserver(observer)
	defer c.raft.DeregisterObserver(observer)

	var known raft.ServerID
	for {
		_, leader := c.raft.LeaderWithID()
		c.directory.follow(string(leader))
		if leader == "" {
			c.health.Set(healthLeader, "none is elected; a majority of the replicas in --initial-cluster must be able to talk to each other")
		} else {
			c.health.Set(healthLeader, "")
		}
		if leader != known && leader != "" {
			c.log.Info(fmt.Sprintf("the leader is %q", leader))
		} else if leader != known {
			c.log.Warn("there is no leader")
		}
		known = leader
		select {
		case <-ctx.Done():
			return c.leave()
		case leads := <-c.raft.LeaderCh():
			// The channel drops what is out of date: this replica may have lost the
			// lead and won it again, and another one may have led meanwhile.
			c.resign(nil)
			if leads {
				c.lead()
				c.reconciling.Go(c.reconcile)
			}
		case <-changes:
		}
	}
}

func (c *candidate) lead() {
	c.directory.lead()
	c.metrics.leads(true)
	c.log.Info("this replica leads")
}

func (c *candidate) resign(err error) {
	c.metrics.leads(false)
	c.directory.resign(err)
}

// leave gives the lead to another replica, so that sidecars find a leader at
// once.
func (c *candidate) leave() error {
	if c.raft.State() == raft.Leader {
		if err := c.raft.LeadershipTransfer().Error(); err != nil {
			c.log.Warn("the lead could not be handed over; the others will elect a leader: " + err.Error())
		}
	}
	_, leader := c.raft.LeaderWithID()
	c.directory.follow(string(leader))
	c.resign(nil)
	err := c.raft.Shutdown().Error()
	c.reconciling.Wait()
	return err
}

// reconcile makes the members of the election those that the leader was started
// with: raft remembers those it began with.
func (c *candidate) reconcile() {
	const patience = 10 * time.Second
	current := c.raft.GetConfiguration()
	if err := current.Error(); err != nil {
		return // it has ended
	}
	servers := current.Configuration().Servers
	for _, p := range c.peers {
		if !slices.Contains(servers, p) {
			c.log.Info(fmt.Sprintf("replica %q at %s joins the election", p.ID, p.Address))
			if err := c.raft.AddVoter(p.ID, p.Address, 0, patience).Error(); err != nil {
				c.log.Warn(fmt.Sprintf("replica %q could not join the election: %v", p.ID, err))
			}
		}
	}
	for _, s := range servers {
		if !slices.ContainsFunc(c.peers, func(p raft.Server) bool { return p.ID == s.ID }) {
			c.log.Info(fmt.Sprintf("replica %q leaves the election", s.ID))
			if err := c.raft.RemoveServer(s.ID, 0, patience).Error(); err != nil {
				c.log.Warn(fmt.Sprintf("replica %q could not leave the election: %v", s.ID, err))
			}
		}
	}
}
