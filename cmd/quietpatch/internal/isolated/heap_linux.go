//go:build linux && amd64

package isolated

import (
	"os"
	"runtime"
	"runtime/debug"
)

// steadyHeap keeps the Go heap from giving memory back to the system, which takes TLB
// shootdowns. The runtime keeps a tenth more than the heap was at the end of the last
// collection (runtime/mgcscavenge.go, gcPaceScavenger). With a large object, which is never
// touched and so takes no memory, that is more than what the heap grows between two collections.
func steadyHeap() (undo func()) {
	large := make([]byte, ballast)
	percent := debug.SetGCPercent(gcPercent)
	touchHeap()
	return func() {
		debug.SetGCPercent(percent)
		runtime.KeepAlive(large)
	}
}

// Less than a tenth of the ballast comes between two collections, and all of it has been
// touched before.
const (
	gcPercent  = 8
	touched    = 24 << 20
	touchBlock = 64 << 10
)

// touchHeap writes to memory that the heap will grow into: the first write to a page that
// was read before takes a TLB shootdown, too.
func touchHeap() {
	var blocks [][]byte
	for range touched / touchBlock {
		b := make([]byte, touchBlock)
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		blocks = append(blocks, b)
	}
	runtime.KeepAlive(blocks)
	runtime.GC()
}
