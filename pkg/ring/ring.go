// Package ring is the placement hash ring: it decides which host an actor lives
// on. Every sidecar builds its own ring from the placement tables, so that the
// same hosts give the same answer everywhere, in any order and in any
// implementation of the protocol.
package ring

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"strconv"

	"golang.org/x/crypto/blake2b"
)

// Ring is the hosts of one actor type. It never changes, so it is safe for
// concurrent use; the zero value has no hosts.
type Ring struct {
	hosts  []string
	points []point // by hash, each hash once
}

// point is one of a host's places on the ring.
type point struct {
	hash uint64
	host uint32 // index in hosts
}

// New puts every host on the ring replication times: at the hashes of its name
// with the numbers from 0 on. Hosts that are named twice count once. With a
// replication below 1 the ring stays empty.
//
// The time and memory it takes grow with len(hosts)·replication; who takes
// replication from elsewhere should limit it.
func New(hosts []string, replication int) *Ring {
	if replication < 1 {
		return &Ring{}
	}
	r := &Ring{hosts: slices.Compact(slices.Sorted(slices.Values(hosts)))}
	points := make([]point, 0, len(r.hosts)*replication)
	for i, host := range r.hosts {
		name := []byte(host)
		for n := range replication {
			name = strconv.AppendInt(name[:len(host)], int64(n), 10)
			points = append(points, point{hash(name), uint32(i)})
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		// Where two hosts meet, the last one by name is first, and stays.
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(b.host, a.host))
	})
	r.points = slices.CompactFunc(points, func(a, b point) bool { return a.hash == b.hash })
	return r
}

// Host returns the host of an actor, by the actor's id; false when the ring has
// no hosts.
func (r *Ring) Host(actorID string) (host string, ok bool) {
	if len(r.points) == 0 {
		return "", false
	}
	h := hash([]byte(actorID))
	i := sort.Search(len(r.points), func(i int) bool { return r.points[i].hash >= h })
	if i == len(r.points) {
		i = 0 // it is a ring
	}
	return r.hosts[r.points[i].host], true
}

// Hosts returns the names of the hosts, sorted. The caller may not change them.
func (r *Ring) Hosts() []string { return r.hosts }

func hash(s []byte) uint64 {
	sum := blake2b.Sum512(s)
	return binary.LittleEndian.Uint64(sum[:8])
}
