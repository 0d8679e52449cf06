package deferral

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// CPUsMax is how many CPUs there may be: the number that the kernel keeps in the
// CPUNODE segment has twelve bits.
const CPUsMax = 4096

// Context is what the process knows of the thread that is isolated on one CPU. It has a
// cache line of its own: the thread writes it at each crossing, patchers at each sync.
//
// The trap handler reads word and tid, and writes the two behind word; their offsets are
// pinned by the constants below.
type Context struct {
	word       atomic.Uint64
	violations atomic.Uint64 // sites that the thread ran while they changed and it was isolated
	violated   atomic.Uint64 // address of the last such site
	g          atomic.Uintptr
	tid        atomic.Int32 // 0: nobody
	idle       atomic.Bool  // spared in Idle, too
	quiet      atomic.Bool  // the thread waits in Synchronize
	settling   bool         // the thread's own: it is in settleOwed
	shared     atomic.Bool  // other threads may run on the CPU: it is not spared
	catchUps   atomic.Uint64
	spared     atomic.Uint64 // syncs that were left to it
	_          [contextPad]byte
}

// contextPad keeps the contexts of neighbours apart, wherever in a cache line they begin.
const contextPad = 64

// Offsets for the trap handler.
const (
	WordOffset       = unsafe.Offsetof(Context{}.word)
	ViolationsOffset = unsafe.Offsetof(Context{}.violations)
	ViolatedOffset   = unsafe.Offsetof(Context{}.violated)
	TIDOffset        = unsafe.Offsetof(Context{}.tid)
)

// contexts is indexed by CPU. Pages of it that no CPU touches take no memory.
var contexts [CPUsMax]Context

// Contexts returns the address of the first context, how many there are, and the size of
// one.
func Contexts() (first unsafe.Pointer, n int, size uintptr) {
	return unsafe.Pointer(&contexts[0]), len(contexts), unsafe.Sizeof(Context{})
}

// active are the CPUs that have a context in use: copied when it changes, under
// registering.
var (
	active      atomic.Pointer[[]int]
	registering sync.Mutex
	used        []int // whose threads have ever been isolated, sorted
)

func actives() []int {
	if p := active.Load(); p != nil {
		return *p
	}
	return nil
}

// Any reports whether any thread may be isolated. Without one a sync is a plain sync.
func Any() bool { return len(actives()) > 0 }

// ErrCPU is wrapped by the errors of Register.
var ErrCPU = fmt.Errorf("CPU for an isolated thread")

// Register makes the context of a CPU known for the calling goroutine, which is locked
// to the thread tid, in Kernel.
func Register(cpu, tid int, idle bool) (*Context, error) {
	registering.Lock()
	defer registering.Unlock()
	if cpu < 0 || cpu >= CPUsMax {
		return nil, fmt.Errorf("%w: expected one from 0 to %d, found CPU %d", ErrCPU, CPUsMax-1, cpu)
	}
	c := &contexts[cpu]
	if other := c.tid.Load(); other != 0 {
		return nil, fmt.Errorf("%w: CPU %d has one already, thread %d: choose another CPU", ErrCPU, cpu, other)
	}
	c.idle.Store(idle)
	c.tid.Store(int32(tid))
	c.g.Store(getg())
	list := append(slices.Clone(actives()), cpu)
	slices.Sort(list)
	active.Store(&list)
	return c, nil
}

// Admit lets [Reports] tell of the context from now on: nothing can fail any more before its
// thread is isolated.
func (c *Context) Admit() {
	registering.Lock()
	defer registering.Unlock()
	cpu := c.CPU()
	if i, found := slices.BinarySearch(used, cpu); !found {
		used = slices.Insert(used, i, cpu)
	}
}

// Unregister ends the use of a context. Its thread is in Kernel, so it owes nothing but
// mappings that it has left for the next time: there is none.
func (c *Context) Unregister() {
	c.unregister()
	settleAll()
}

// settleAll does not leave the others to wait where a release ends the goroutine
// (runtime.Goexit). That one is off the list.
func settleAll() {
	done := false
	defer func() {
		if !done {
			settleAll()
		}
	}()
	settle(math.MaxInt, lock)
	done = true
}

func (c *Context) unregister() {
	registering.Lock()
	defer registering.Unlock()
	c.word.And(^uint64(tracking.WorkMask))
	list := slices.DeleteFunc(slices.Clone(actives()), func(cpu int) bool { return cpu == c.CPU() })
	active.Store(&list)
	c.g.Store(0)
	c.tid.Store(0)
}

// CPU returns the CPU whose context it is.
func (c *Context) CPU() int {
	return int((uintptr(unsafe.Pointer(c)) - uintptr(unsafe.Pointer(&contexts[0]))) / unsafe.Sizeof(Context{}))
}

// TID returns the thread.
func (c *Context) TID() int { return int(c.tid.Load()) }

// SetShared says that other threads of the process may run on the CPU, or that they cannot
// any more. While they may, the CPU is not spared. It holds for whatever thread is isolated
// there, now or later. A sync that is under way may have spared it: who lets others in makes one
// more for everyone, first.
func SetShared(cpu int, shared bool) {
	if cpu >= 0 && cpu < CPUsMax {
		contexts[cpu].shared.Store(shared)
	}
}

// State returns what the thread says it is doing.
func (c *Context) State() tracking.State { return c.load().State() }

func (c *Context) load() tracking.Word { return tracking.Word(c.word.Load()) }

// Mine reports whether the calling goroutine is the one that is isolated here.
func (c *Context) Mine() bool { return c.g.Load() == getg() }

// Current returns the context of the calling goroutine, nil if it has none.
func Current() *Context {
	g := getg()
	for _, cpu := range actives() {
		if c := &contexts[cpu]; c.g.Load() == g {
			return c
		}
	}
	return nil
}

// envBits narrows the counter, so that it wraps in tests.
const envBits = "QUIETPATCH_CONTEXT_BITS"

var layout, layoutProblem = layoutFrom(os.Getenv(envBits))

func layoutFrom(s string) (tracking.Layout, string) {
	if s == "" {
		return tracking.Layout{}, ""
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < tracking.CounterBitsMin || n > tracking.CounterBitsMax {
		return tracking.Layout{}, fmt.Sprintf("%s ignored: %q: expected a number from %d to %d",
			envBits, s, tracking.CounterBitsMin, tracking.CounterBitsMax)
	}
	return tracking.Layout{CounterBits: uint8(n)}, ""
}

// CounterBits returns how many bits the counter has, and what was wrong with the
// environment's word for it.
func CounterBits() (bits int, problem string) {
	if layout.CounterBits == 0 {
		return tracking.CounterBitsMax, layoutProblem
	}
	return int(layout.CounterBits), layoutProblem
}
