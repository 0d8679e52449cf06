package main

import "sync/atomic"

type packet struct{ number uint64 }

const slots = 1 << 10

// ring is a queue for one producer and one consumer, without locks. Each of the two
// numbers has a cache line that only one side writes.
type ring struct {
	filled  atomic.Uint64 // packets that were put in
	_       [56]byte
	emptied atomic.Uint64 // packets that were taken out
	_       [56]byte
	packets [slots]packet
}

// put reports whether there was room.
func (r *ring) put(p packet) bool {
	n := r.filled.Load()
	if n-r.emptied.Load() == slots {
		return false
	}
	r.packets[n%slots] = p
	r.filled.Store(n + 1)
	return true
}

// take moves packets to where they are wanted, and returns how many.
func (r *ring) take(to []packet) int {
	first := r.emptied.Load()
	n := min(uint64(len(to)), r.filled.Load()-first)
	for i := range n {
		to[i] = r.packets[(first+i)%slots]
	}
	r.emptied.Store(first + n)
	return int(n)
}
