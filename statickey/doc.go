// Package statickey has switches for hot code.
//
// A key is a package-level variable that code branches on and that changes
// rarely: verbose logging, tracing, a feature flag, a failpoint. A check reads
// the key like a plain bool. The first time a key is set, every check in the
// running program's machine code is found and rewritten so that it holds the
// value as an immediate: it touches no memory and no cache line from then on.
// Setting the key rewrites the checks, all in one batch, while all threads run.
//
//	var traceSends statickey.Bool
//
//	var _ = statickey.Register(&traceSends, "net.trace-sends", "log every packet sent")
//
//	func (c *conn) send(p packet) {
//		if traceSends.Enabled() {
//			log.Printf("send %v", p)
//		}
//		...
//	}
//
//	traceSends.Enable()	// from a signal handler, a debug page, a config watcher
//
// # What a key must be
//
// Checks are found when the key is a package-level variable and Enabled is
// called on it directly, so that it is inlined: traceSends.Enabled(), not
// p.Enabled() through a pointer. Anything else (a key on the heap, in a slice,
// copied, reached through a pointer, built without inlining) works the same
// and reads memory.
//
// # Kinds
//
//	Bool      on or off
//	Value[T]  a number: Int32, Int64, Uint32, Int, Duration
//	Counted   on while anybody wants it, with a rate limit
//	Sealed    decided at the start, constant after [Seal]
//
// [Batch] changes many keys of any kind with one sync. [Bool.SetNoWait] changes one without a
// sync, and [Sync] makes such changes certain. [Match] and [SetMatching] choose keys
// by name and by where they are checked; the environment variable QUIETPATCH sets them
// at the start: QUIETPATCH=net.*=on,db.timeout=250ms.
//
// # Memory model
//
// See [Bool.Set] for what is promised to other goroutines.
//
// The package is the public face of internal/engine. It knows no opcodes, no
// steps and no system calls.
package statickey
