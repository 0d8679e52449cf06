package prog

import (
	"time"
	"unsafe"
)

// ticks reads the time stamp counter.
func ticks() uint64

// flushLine takes the cache line at p out of all caches.
//
//go:noescape
func flushLine(p unsafe.Pointer)

// tickNS returns how long one tick is. The median of a few tries: other programs
// may come between the two clocks.
func tickNS() float64 {
	const long = 20 * time.Millisecond
	var s samples
	for range 5 {
		start, from := time.Now(), ticks()
		spin(long)
		took, to := time.Since(start), ticks()
		s = append(s, float64(took)/float64(to-from))
	}
	return s.median()
}
