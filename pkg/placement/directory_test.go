package placement

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	placementv1 "github.com/dapr/dapr/pkg/proto/placement/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hyperdapr/dapr/pkg/ring"
	"github.com/hyperdapr/dapr/pkg/telemetry"
)

// leading is a directory that leads.
func leading(window time.Duration) *directory {
	d := newDirectory(&options{
		id: "dapr-placement-0", disseminateTimeout: 8 * time.Second, coalesceWindow: window, replication: 100,
	}, telemetry.Discard(), newMetrics(prometheus.NewRegistry()))
	d.lead()
	return d
}

// sidecar is a stream as the directory sees it.
type sidecar struct {
	t *testing.T
	d *directory
	m *member
	h *placementv1.Host
	// mute is the operation that it does not acknowledge.
	mute string
	// got are the orders it was sent, as "lock 1".
	got   []string
	table *placementv1.PlacementTables
}

func newHost(namespace, app string, types ...string) *placementv1.Host {
	return &placementv1.Host{
		Name: app + ":50002", Port: 50002, Id: app, Namespace: namespace, Entities: types, Operation: placementv1.HostOperation_REPORT,
	}
}

func join(t *testing.T, d *directory, namespace, app string, types ...string) *sidecar {
	t.Helper()
	m, err := d.connect()
	require.NoError(t, err)
	s := &sidecar{t: t, d: d, m: m, h: newHost(namespace, app, types...)}
	require.NoError(t, d.receive(m, s.h, nil))
	return s
}

// step does the next order, if there is one.
func (s *sidecar) step() bool {
	s.t.Helper()
	select {
	case o := <-s.m.orders:
		s.got = append(s.got, fmt.Sprint(o.GetOperation(), " ", o.GetVersion()))
		if o.GetOperation() == "update" {
			s.table = o.GetTables()
		}
		if s.mute != o.GetOperation() {
			s.acknowledge(o.GetOperation(), o.GetVersion())
		}
		return true
	default:
		return false
	}
}

func (s *sidecar) acknowledge(operation string, version uint64) {
	s.t.Helper()
	op := placementv1.HostOperation(placementv1.HostOperation_value[strings.ToUpper(operation)])
	require.NoError(s.t, s.d.receive(s.m, &placementv1.Host{Operation: op, Version: &version}, nil))
}

// take returns the orders since the last time.
func (s *sidecar) take() string {
	got := strings.Join(s.got, ", ")
	s.got = nil
	return got
}

// hosts are the host names of a type in the tables that it has.
func (s *sidecar) hosts(actorType string) []string {
	return slices.Sorted(maps.Keys(s.table.GetEntries()[actorType].GetLoadMap()))
}

func (s *sidecar) ended() error {
	select {
	case <-s.m.ended:
		return s.m.err
	default:
		return nil
	}
}

// settle has everybody do all orders.
func settle(sidecars ...*sidecar) {
	for again := true; again; {
		again = false
		for _, s := range sidecars {
			again = s.step() || again
		}
	}
}

func TestRounds(t *testing.T) {
	d := leading(0)
	a := join(t, d, "shop", "a", "Cart", "User")
	settle(a)
	require.Equal(t, "lock 1, update 1, unlock 1", a.take())
	require.Equal(t, []string{"a:50002"}, a.hosts("Cart"))
	require.EqualValues(t, 100, a.table.GetReplicationFactor())
	require.Equal(t, "a", a.table.GetEntries()["Cart"].GetLoadMap()["a:50002"].GetId())

	// Who has no actors gets the tables and changes nothing.
	guest := join(t, d, "shop", "guest")
	settle(a, guest)
	require.Equal(t, "lock 1, update 1, unlock 1", guest.take())
	require.Equal(t, []string{"a:50002"}, guest.hosts("User"))
	require.Empty(t, a.take())

	// Another namespace has its own versions and tables.
	other := join(t, d, "office", "a", "Cart")
	settle(a, guest, other)
	require.Equal(t, "lock 1, update 1, unlock 1", other.take())
	require.Empty(t, a.take()+guest.take())

	b := join(t, d, "shop", "b", "Cart")
	settle(a, guest, other, b)
	for _, s := range []*sidecar{a, guest, b} {
		require.Equal(t, "lock 2, update 2, unlock 2", s.take())
		require.Equal(t, []string{"a:50002", "b:50002"}, s.hosts("Cart"))
		require.Equal(t, []string{"a:50002"}, s.hosts("User"))
	}

	// The same report again is none.
	require.NoError(t, d.receive(a.m, a.h, nil))
	settle(a, guest, b)
	require.Empty(t, a.take()+guest.take()+b.take())

	require.NoError(t, d.receive(b.m, newHost("shop", "b", "Cart", "User"), nil))
	settle(a, guest, b)
	require.Equal(t, "lock 3, update 3, unlock 3", guest.take())
	require.Equal(t, []string{"a:50002", "b:50002"}, guest.hosts("User"))

	d.leave(a.m)
	settle(guest, b, other)
	require.Equal(t, "lock 4, update 4, unlock 4", guest.take())
	require.Equal(t, []string{"b:50002"}, guest.hosts("Cart"))

	d.leave(guest.m)
	b.take()
	settle(b, other)
	require.Empty(t, b.take()+other.take(), "a host without actors leaves unnoticed")
}

func TestNobodyGoesOnBeforeAllHaveAcknowledged(t *testing.T) {
	d := leading(0)
	a, b := join(t, d, "shop", "a", "Cart"), join(t, d, "shop", "b", "Cart")
	settle(a, b)
	a.take()
	a.mute, b.mute = "lock", "lock"
	c := join(t, d, "shop", "c", "Cart")
	require.False(t, a.step(), "who has no tables yet is locked first")
	settle(a, b, c)
	require.Equal(t, "lock 3", a.take())
	a.acknowledge("lock", 3)
	settle(a, b, c)
	require.Empty(t, a.take())
	b.acknowledge("lock", 2) // late
	b.acknowledge("unlock", 3)
	settle(a, b, c)
	require.Empty(t, a.take())
	b.acknowledge("lock", 3)
	settle(a, b, c)
	require.Equal(t, "update 3, unlock 3", a.take())
}

func TestWhatHappensDuringARound(t *testing.T) {
	d := leading(0)
	a, b := join(t, d, "shop", "a", "Cart"), join(t, d, "shop", "b", "Cart")
	settle(a, b)
	a.take()
	a.mute = "lock"
	c := join(t, d, "shop", "c", "Cart")
	settle(a, b, c)

	// Who comes waits for the next round; who leaves is not in the tables of this.
	late, guest := join(t, d, "shop", "late", "Cart"), join(t, d, "shop", "guest")
	d.leave(b.m)
	a.mute = ""
	a.acknowledge("lock", 3)
	require.True(t, a.step())
	require.Equal(t, []string{"a:50002", "c:50002"}, a.hosts("Cart"))
	settle(a, c, late, guest)
	require.Equal(t, "lock 3, update 3, unlock 3, lock 4, update 4, unlock 4", a.take())
	require.Equal(t, "lock 4, update 4, unlock 4", late.take())
	require.Equal(t, "lock 4, update 4, unlock 4", guest.take())
	require.Equal(t, []string{"a:50002", "c:50002", "late:50002"}, guest.hosts("Cart"))
}

func TestWhoComesBackChangesNothing(t *testing.T) {
	d := leading(0)
	a, b := join(t, d, "shop", "a", "Cart"), join(t, d, "shop", "b", "Cart")
	guest := join(t, d, "shop", "guest")
	settle(a, b, guest)
	guest2 := join(t, d, "shop", "guest2")
	a.take()
	// A round for one is under way; meanwhile b reconnects.
	d.leave(b.m)
	again := join(t, d, "shop", "b", "Cart")
	settle(a, guest, guest2, again)
	require.Empty(t, a.take())
	require.Equal(t, "lock 2, update 2, unlock 2", again.take())
	require.Equal(t, []string{"a:50002", "b:50002"}, again.hosts("Cart"))
}

func TestWhoDoesNotAcknowledgeIsEnded(t *testing.T) {
	for _, phase := range []string{"lock", "update", "unlock"} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := leading(0)
				a, b := join(t, d, "shop", "a", "Cart"), join(t, d, "shop", "b", "Cart")
				settle(a, b)
				b.mute = phase
				c := join(t, d, "shop", "c", "Cart")
				settle(a, b, c)
				time.Sleep(8*time.Second - time.Millisecond)
				synctest.Wait()
				require.NoError(t, b.ended())
				time.Sleep(time.Millisecond)
				synctest.Wait()
				require.Equal(t, codes.DeadlineExceeded, status.Code(b.ended()))
				require.ErrorContains(t, b.ended(), "no acknowledgement of "+phase+" of version 3 within 8s")
				settle(a, b, c)
				require.NoError(t, a.ended())
				require.NoError(t, c.ended())
				require.Equal(t, []string{"a:50002", "c:50002"}, a.hosts("Cart"))
				require.Equal(t, []string{"a:50002", "c:50002"}, c.hosts("Cart"))
				d.leave(b.m)
				d.resign(nil)
			})
		})
	}
}

func TestANewcomerThatNeverAnswersStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := leading(0)
		a := join(t, d, "shop", "a", "Cart")
		settle(a)
		a.take()
		dead := join(t, d, "shop", "dead", "Cart")
		dead.mute = "lock"
		settle(a, dead)
		require.Equal(t, "lock 2", dead.take())
		require.Empty(t, a.take())
		time.Sleep(8 * time.Second)
		synctest.Wait()
		require.Error(t, dead.ended())
		settle(a)
		require.Equal(t, []string{"a:50002"}, a.hosts("Cart"))
		d.resign(nil)
	})
}

func TestCoalesceWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := leading(time.Second)
		a, b := join(t, d, "shop", "a", "Cart"), join(t, d, "shop", "b", "Cart")
		settle(a, b)
		require.Empty(t, a.take(), "changes are collected")
		time.Sleep(time.Second)
		synctest.Wait()
		settle(a, b)
		require.Equal(t, "lock 1, update 1, unlock 1", a.take())
		require.Equal(t, []string{"a:50002", "b:50002"}, a.hosts("Cart"))

		c, guest := join(t, d, "shop", "c", "Cart"), join(t, d, "shop", "guest")
		settle(a, b, c, guest)
		require.Empty(t, a.take()+c.take())
		require.Equal(t, "lock 1, update 1, unlock 1", guest.take(), "who changes nothing need not wait")
		d.leave(b.m)
		time.Sleep(time.Second)
		synctest.Wait()
		settle(a, c, guest)
		require.Equal(t, "lock 2, update 2, unlock 2", a.take())
		require.Equal(t, []string{"a:50002", "c:50002"}, guest.hosts("Cart"))

		d.leave(c.m)
		d.resign(nil)
		time.Sleep(time.Minute) // what is left of timers must find nothing
		require.Empty(t, d.namespaces)
	})
}

func TestSidecarsWithoutAcknowledgements(t *testing.T) {
	d := leading(0)
	a := join(t, d, "shop", "a", "Cart")
	settle(a)
	m, err := d.connect()
	require.NoError(t, err)
	old := &sidecar{t: t, d: d, m: m, h: newHost("shop", "old", "Cart")}
	old.h.Operation = placementv1.HostOperation_UNKNOWN
	require.NoError(t, d.receive(m, old.h, nil))
	a.take()
	settle(a)
	require.Equal(t, "lock 2, update 2, unlock 2", a.take(), "nobody waits for it")
	require.Len(t, m.orders, 3)

	for range 5 { // it does not read either
		d.leave(join(t, d, "shop", "b", "Cart").m)
		settle(a)
	}
	require.Error(t, old.ended())
}

func TestOneHostWithTwoStreams(t *testing.T) {
	d := leading(0)
	a := join(t, d, "shop", "a", "Cart")
	again := join(t, d, "shop", "a", "Cart", "User")
	thief := join(t, d, "shop", "thief", "Cart")
	stolen := newHost("shop", "thief", "Cart")
	stolen.Name = "a:50002"
	require.NoError(t, d.receive(thief.m, stolen, nil))
	settle(a, again, thief)
	require.Equal(t, []string{"a:50002"}, a.hosts("User"))
	require.Equal(t, "a", a.table.GetEntries()["Cart"].GetLoadMap()["a:50002"].GetId(), "another app cannot take its name")
}

func TestMistakes(t *testing.T) {
	version := uint64(1)
	for _, c := range []struct {
		name string
		h    *placementv1.Host
		want string
	}{
		{"version without operation", &placementv1.Host{Id: "a", Namespace: "shop", Version: &version}, "a version came without an operation"},
		{"acknowledgement first", &placementv1.Host{Operation: placementv1.HostOperation_LOCK, Version: &version}, "before the first report"},
		{"acknowledgement without version", &placementv1.Host{Operation: placementv1.HostOperation_UNLOCK}, "has no version"},
		{"unknown operation", &placementv1.Host{Operation: 9}, "operation 9 is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := leading(0)
			m, err := d.connect()
			require.NoError(t, err)
			err = d.receive(m, c.h, nil)
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.ErrorContains(t, err, c.want)
		})
	}
	d := leading(0)
	a := join(t, d, "shop", "a")
	require.ErrorContains(t, d.receive(a.m, newHost("office", "a"), nil), "cannot become another one")
	require.ErrorContains(t, d.receive(a.m, newHost("shop", "b"), nil), "cannot become another one")
}

func TestOnlyTheLeaderServes(t *testing.T) {
	d := leading(0)
	a := join(t, d, "shop", "a", "Cart")
	unreported, err := d.connect()
	require.NoError(t, err)
	d.resign(nil)
	require.Equal(t, codes.FailedPrecondition, status.Code(a.ended()))
	require.ErrorContains(t, unreported.err, `placement "dapr-placement-0" is not a leader: none is elected yet`)
	require.NoError(t, d.receive(a.m, a.h, nil), "what is still said is not heard")
	d.leave(a.m)
	require.Empty(t, d.namespaces)
	require.Empty(t, d.streams)

	d.follow("dapr-placement-2")
	_, err = d.connect()
	require.ErrorContains(t, err, `placement "dapr-placement-0" is not a leader: "dapr-placement-2" is`)
	d.lead()
	b := join(t, d, "shop", "b", "Cart")
	settle(b)
	require.Equal(t, []string{"b:50002"}, b.hosts("Cart"))
}

func TestState(t *testing.T) {
	d := leading(0)
	a := join(t, d, "shop", "a", "Cart")
	guest := join(t, d, "office", "guest")
	settle(a, guest)
	w := httptest.NewRecorder()
	d.serveState(w, nil)
	var got any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, map[string]any{"tables": map[string]any{
		"shop": map[string]any{"version": "1", "hosts": []any{map[string]any{
			"name": "a:50002", "port": "50002", "id": "a", "namespace": "shop", "entities": []any{"Cart"},
		}}},
		"office": map[string]any{"version": "1", "hosts": []any{map[string]any{
			"name": "guest:50002", "port": "50002", "id": "guest", "namespace": "office",
		}}},
	}}, got)
}

// Every sidecar computes the same owner from what it was sent.
func TestSidecarsAgree(t *testing.T) {
	d := leading(0)
	var all []*sidecar
	for i := range 7 {
		all = append(all, join(t, d, "shop", fmt.Sprint("app", i), "Cart"))
		settle(all...)
	}
	owners := make(map[string]bool)
	for i := range 100 {
		actor := fmt.Sprint("actor-", i)
		want, ok := ring.New(all[0].hosts("Cart"), int(all[0].table.GetReplicationFactor())).Host(actor)
		require.True(t, ok)
		owners[want] = true
		for _, s := range all[1:] {
			got, _ := ring.New(s.hosts("Cart"), int(s.table.GetReplicationFactor())).Host(actor)
			require.Equal(t, want, got)
		}
	}
	require.Len(t, owners, len(all), "each has a share")
}
