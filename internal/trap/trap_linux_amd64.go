package trap

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vector is read by the handler without a lock, under a sequence count: odd
// while it changes.
//
// Barrier pair V: publish stores seq (odd), entries, seq (even); the handler
// loads seq, entries, seq. x86 keeps stores in order and loads in order (Intel
// SDM vol. 3A, 10.2.3; AMD APM vol. 2, 7.2).
//
//lint:ignore U1000 used by trap_amd64.s
type vector struct {
	seq     uint64
	n       uint64
	entries [VectorMax]Entry
}

// shards keep threads that trap at once from fighting over one cache line: the
// kernel measured 2.6 s against 0.7 ms for that (commit 41e4ceece591).
const shards = 64

type shard struct {
	hits, late, retried, foreign uint64
	_                            [4]uint64
}

// The handler's memory. Static, never freed: a thread may reach the handler
// long after the batch that trapped it (design of commit efd608fa7403).
var (
	//lint:ignore U1000 used by trap_amd64.s
	vec      vector
	counters [shards]shard
	//lint:ignore U1000 read by trap_amd64.s
	textLo, textHi uintptr // sites lie in [textLo, textHi)
	chain          uintptr // the handler that was there before
)

// Where the contexts of isolated threads are, by CPU. The handler notes in them that such
// a thread ran into a trap byte: it should not run sites. One that somebody has moved to
// another CPU is not found: it is isolated no more, and is interrupted there.
//
//lint:ignore U1000 read by trap_amd64.s
var contexts unsafe.Pointer

//lint:ignore U1000 read by trap_amd64.s
var contextCount, contextSize uintptr

// Offsets in a context (package deferral has the structure, and pins these), and the
// bits of its word that are not 0 in an isolated thread.
const (
	ContextWord       = 0
	ContextViolations = 8
	ContextViolated   = 16
	ContextTID        = 32
	ContextState      = 3
)

// Watch tells the handler where the contexts are: static memory, n of size bytes each, by
// CPU. It is called before the first trap.
func Watch(first unsafe.Pointer, n int, size uintptr) {
	contextCount, contextSize = uintptr(n), size
	contexts = first
}

// handler is the SIGTRAP handler. It is called by the kernel, never from Go.
//
//lint:ignore U1000 its address is taken in trap_amd64.s
func handler()

// handlerAddr returns the address of handler itself; a Go func value would
// give the address of a wrapper.
func handlerAddr() uintptr

// sigaction is struct kernel_sigaction of linux/amd64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saSiginfo  = 0x4
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
	saRestorer = 0x04000000
	saWanted   = saSiginfo | saOnstack | saRestorer
)

// ErrHandler is wrapped by errors about the SIGTRAP handler.
var ErrHandler = errors.New("SIGTRAP handler")

// Install puts the handler in place, in front of the one that is there, for
// trap bytes in [lo, hi). Calling it again only checks: if somebody has put a
// handler in front of ours since, chaining to it would make a circle.
func Install(lo, hi uintptr) error {
	if chain != 0 {
		return Check()
	}
	var old sigaction
	if err := rtSigaction(nil, &old); err != nil {
		return err
	}
	if old.handler <= 1 || old.flags&saWanted != saWanted {
		return fmt.Errorf("%w: expected the Go runtime's (SA_SIGINFO, SA_ONSTACK, SA_RESTORER), found handler %#x with flags %#x; "+
			"only ordinary Go executables are patched", ErrHandler, old.handler, old.flags)
	}
	textLo, textHi = lo, hi
	chain = old.handler
	act := sigaction{
		handler:  handlerAddr(),
		flags:    saWanted | saRestart,
		restorer: old.restorer,
		mask:     ^uint64(0), // nothing may interrupt it: it has no g
	}
	return rtSigaction(&act, nil)
}

// Check reports whether our handler is still the one the kernel calls. C code
// or a debugger may have replaced it.
func Check() error {
	var now sigaction
	if err := rtSigaction(nil, &now); err != nil {
		return err
	}
	if now.handler != handlerAddr() || now.flags&saWanted != saWanted {
		return fmt.Errorf("%w: expected ours at %#x, found %#x with flags %#x: something replaced it; "+
			"install yours before the first key is set, or use the store strategy", ErrHandler, handlerAddr(), now.handler, now.flags)
	}
	return nil
}

func rtSigaction(set, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTRAP),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return fmt.Errorf("%w: rt_sigaction(SIGTRAP): %w", ErrHandler, errno)
	}
	return nil
}

// Publish makes entries the vector. They must be sorted by Addr and at most
// VectorMax. One caller at a time. The entries are copied.
func Publish(entries []Entry) error {
	if len(entries) > VectorMax {
		return fmt.Errorf("trap vector: %d entries, room for %d", len(entries), VectorMax)
	}
	for i := 1; i < len(entries); i++ {
		if entries[i-1].Addr >= entries[i].Addr {
			return fmt.Errorf("trap vector: entry %d at %#x is not above entry %d at %#x",
				i, entries[i].Addr, i-1, entries[i-1].Addr)
		}
	}
	publish(unsafe.SliceData(entries), len(entries))
	return nil
}

// Retire empties the vector. Traps taken before are late traps from here on.
func Retire() { publish(nil, 0) }

// publish is the writing half of barrier pair V. It is assembly because the
// scheduler must not take the CPU from it: a thread that traps while seq is odd
// executes its trap byte again and again, and could keep the only CPU that
// would let the goroutine here go on. Assembly is never preempted (runtime,
// preempt.go); that the kernel takes the CPU for a while does no harm.
//
//go:noescape
func publish(src *Entry, n int)

// Counters adds the counters up. It may run at any time.
func Counters() Counts {
	var c Counts
	for i := range counters {
		s := &counters[i]
		c.Hits += atomic.LoadUint64(&s.hits)
		c.Late += atomic.LoadUint64(&s.late)
		c.Retried += atomic.LoadUint64(&s.retried)
		c.Foreign += atomic.LoadUint64(&s.foreign)
	}
	return c
}

// Offsets in the ucontext that the assembly uses.
const (
	flagsOffset = 176
)
