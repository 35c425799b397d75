package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The hashes were computed with Python's hashlib.
func TestHash(t *testing.T) {
	for s, want := range map[string]uint64{
		"":                 241225442164632184,
		"10.0.0.1:500020":  7120362376346592644,
		"10.0.0.1:500021":  6505922788473134223,
		"10.0.0.1:5000299": 8251988567651704418,
		"actor-1":          10015260465285814958,
		"\u00fcn\u00ef":    7960348520008953093,
	} {
		require.Equal(t, want, hash([]byte(s)), "%q", s)
	}
}

func TestHost(t *testing.T) {
	three := []string{"10.0.0.1:50002", "10.0.0.2:50002", "10.0.0.3:50002"}
	for _, c := range []struct {
		name        string
		hosts       []string
		replication int
		actor, want string
	}{
		{"no hosts", nil, 100, "a", ""},
		{"no replication", three, 0, "a", ""},
		{"negative replication", three, -1, "a", ""},
		{"one host", three[:1], 100, "a", three[0]},
		{"one point", three[:1], 1, "actor-1", three[0]},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := New(c.hosts, c.replication).Host(c.actor)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want != "", ok)
		})
	}
	_, ok := (&Ring{}).Host("a")
	require.False(t, ok, "the zero value has no hosts")
}

// slow is the contract as it is written, without a sorted ring.
func slow(hosts []string, replication int, actor string) string {
	h := hash([]byte(actor))
	var next, first string
	var nextHash, firstHash uint64
	for _, host := range hosts {
		for n := range replication {
			p := hash(fmt.Append(nil, host, n))
			if first == "" || p < firstHash {
				first, firstHash = host, p
			}
			if p >= h && (next == "" || p < nextHash) {
				next, nextHash = host, p
			}
		}
	}
	if next == "" {
		return first
	}
	return next
}

func names(n int) []string {
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("10.0.%d.%d:50002", i/250, i%250))
	}
	return hosts
}

func TestHostIsTheNextPoint(t *testing.T) {
	for _, n := range []int{1, 2, 7} {
		for _, replication := range []int{1, 3, 100} {
			hosts := names(n)
			r := New(hosts, replication)
			for i := range 200 {
				actor := fmt.Sprint("actor-", i)
				got, _ := r.Host(actor)
				require.Equal(t, slow(hosts, replication, actor), got)
			}
		}
	}
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	hosts := names(20)
	r := New(hosts, 100)
	mixed := append(slices.Clone(hosts), hosts[:7]...)
	rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	given := slices.Clone(mixed)
	other := New(mixed, 100)
	require.Equal(t, r, other)
	require.Equal(t, given, mixed, "the argument is the caller's")
	require.Equal(t, slices.Sorted(slices.Values(hosts)), other.Hosts())
}

// One host that comes or goes moves the actors it gets or had, and no others.
func TestAHostMovesOnlyItsShare(t *testing.T) {
	const actors = 10000
	for _, n := range []int{2, 10, 50} {
		hosts := names(n)
		all := New(hosts, 100)
		gone := hosts[n/2]
		without := New(slices.Concat(hosts[:n/2], hosts[n/2+1:]), 100)
		moved := 0
		for i := range actors {
			actor := fmt.Sprint("actor-", i)
			before, _ := all.Host(actor)
			after, _ := without.Host(actor)
			if before == gone {
				require.NotEqual(t, gone, after)
				moved++
				continue
			}
			require.Equal(t, before, after, "%s has moved between two hosts that stay", actor)
		}
		fair := float64(actors) / float64(n)
		require.InDelta(t, fair, float64(moved), fair*0.5, "of %d hosts one has an unfair share", n)
	}
}

func TestWhereTwoHostsMeetTheLastNameStays(t *testing.T) {
	// "a1" and number 0 is the same text as "a" and number 10.
	r := New([]string{"a1", "a"}, 11)
	require.Len(t, r.points, 2*11-1)
	for _, p := range r.points {
		if p.hash == hash([]byte("a10")) {
			require.Equal(t, "a1", r.hosts[p.host])
		}
	}
}

func BenchmarkNew(b *testing.B) {
	hosts := names(500)
	for b.Loop() {
		New(hosts, 100)
	}
}

func BenchmarkHost(b *testing.B) {
	r := New(names(500), 100)
	for b.Loop() {
		r.Host("actor-1")
	}
}
