package visit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slotsMax is how many threads are asked at once: those that run.
const slotsMax = 512

// slot is a question to one thread.
type slot struct {
	tid      uint64
	answered uint64 // number of the last question that it answered
}

// question is what the handler reads without a lock. Who asks writes number, 0, then all
// the rest, then number; the handler reads number first. x86 keeps both in order. A handler that
// began to read before is told by its number, which is not the present one's.
type question struct {
	number uint64 // 0: nobody asks
	stubs  uintptr
	size   uintptr // of the stubs' memory
	//lint:ignore U1000 read by ask_amd64.s
	blocks  [signalsMax]uint64 // of the handlers: see outside
	nblocks uint64
	n       uint64 // slots in use
	slots   [slotsMax]slot
}

// The handler's memory. Static, never freed: a thread may be in the handler long after the
// round.
var (
	asked question
	chain uintptr // the handler that was there before
	//lint:ignore U1000 read by ask_amd64.s
	alone   uint64 // not 0: signals of ours end with our handler
	next    uint64 // number of the next question
	signals atomic.Uint64
)

// urgHandler is the SIGURG handler. It is called by the kernel, never from Go.
//
//lint:ignore U1000 its address is taken in ask_amd64.s
func urgHandler()

// urgHandlerAddr returns the address of urgHandler itself.
func urgHandlerAddr() uintptr

// Offsets in the ucontext that the assembly uses (arch/x86/include/uapi/asm/ucontext.h,
// sigcontext.h, include/uapi/asm-generic/ucontext.h).
const (
	stackOffset     = 16
	stackSizeOffset = 32
	rspOffset       = 160
	ripOffset       = 168
	maskOffset      = 296
)

// In the siginfo.
const (
	codeOffset  = 8
	valueOffset = 24
)

// sigaction is struct kernel_sigaction of linux/amd64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saSiginfo  = 0x4
	saNodefer  = 0x40000000
	saReset    = 0x80000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
	saRestorer = 0x04000000
	saWanted   = saSiginfo | saOnstack | saRestorer

	signalsMax = 64
	urgBit     = 1 << (unix.SIGURG - 1)
)

func rtSigaction(sig unix.Signal, set, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return fmt.Errorf("%w: rt_sigaction(%d): %w", ErrUnable, int(sig), errno)
	}
	return nil
}

// install puts our handler in front of the one that is there, if it is not there already.
// The program may take it away again: signal.Ignore and the next signal.Notify do.
func install() error {
	var old sigaction
	if err := rtSigaction(unix.SIGURG, nil, &old); err != nil {
		return err
	}
	switch {
	case old.handler == urgHandlerAddr():
		return nil
	case old.handler <= 1 || old.flags&saWanted != saWanted:
		return fmt.Errorf("%w: SIGURG: expected the Go runtime's handler (SA_SIGINFO, SA_ONSTACK, SA_RESTORER), found %#x with flags %#x: "+
			"do not ignore the signal", ErrUnable, old.handler, old.flags)
	case chain != 0 && chain != old.handler:
		return fmt.Errorf("%w: SIGURG: expected our handler, or the one that it stands before, at %#x, found %#x: something replaced it, "+
			"and may call ours: install yours before the first key is set", ErrUnable, chain, old.handler)
	}
	// Without preemption by signal the runtime takes SIGURG for the program's, and takes
	// long ways on threads that are not its own (signal_unix.go, sigtrampgo, badsignal). None of
	// its own signals can be lost in ours then.
	if strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1") {
		alone = 1
	}
	chain = old.handler
	act := sigaction{
		handler:  urgHandlerAddr(),
		flags:    saWanted | saRestart,
		restorer: old.restorer,
		mask:     ^uint64(0), // nothing may interrupt it: it has no g
	}
	return rtSigaction(unix.SIGURG, &act, nil)
}

// resets: a handler with SA_RESETHAND was seen.
var resets atomic.Bool

// handlersNow returns the handlers that are installed, each once.
func handlersNow() ([]handler, error) {
	var out []handler
	for sig := unix.Signal(1); sig <= signalsMax; sig++ {
		var a sigaction
		if err := rtSigaction(sig, nil, &a); err != nil {
			return nil, err
		}
		if a.handler <= 1 { // SIG_DFL, SIG_IGN
			continue
		}
		if a.flags&saReset != 0 || resets.Load() {
			resets.Store(true) // it may be gone the next time, with a thread in it
			return nil, fmt.Errorf("%w: a handler, of signal %d at %#x or one before, has SA_RESETHAND: the kernel takes it away while a thread is in it; "+
				"install it without", ErrUnable, int(sig), a.handler)
		}
		h := handler{entry: a.handler, blocks: a.mask}
		if a.flags&saNodefer == 0 {
			h.blocks |= 1 << (sig - 1)
		}
		if h.blocks == 0 {
			return nil, fmt.Errorf("%w: the handler of signal %d at %#x has SA_NODEFER and an empty mask: a thread in it looks like any other; "+
				"let it block its signal", ErrUnable, int(sig), a.handler)
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out, nil
}

// put makes a new question for the threads, at most slotsMax, and returns its number.
func put(tids []int, sc *Scene, handlers []handler) uint64 {
	withdraw()
	asked.stubs, asked.size = sc.Stubs.Lo, sc.Stubs.Hi-sc.Stubs.Lo
	asked.nblocks = 0
	for _, h := range handlers { // at most one for each signal
		if !slices.Contains(asked.blocks[:asked.nblocks], h.blocks) {
			asked.blocks[asked.nblocks] = h.blocks
			asked.nblocks++
		}
	}
	for i, tid := range tids {
		atomic.StoreUint64(&asked.slots[i].tid, uint64(tid))
	}
	asked.n = uint64(len(tids))
	next++
	atomic.StoreUint64(&asked.number, next)
	return next
}

// withdraw ends the question: handlers hand signals on at once.
func withdraw() { atomic.StoreUint64(&asked.number, 0) }

// answered reports whether slot i has an answer to question number.
func answered(i int, number uint64) bool {
	return atomic.LoadUint64(&asked.slots[i].answered) == number
}

// siginfo is the kernel's, as sigqueue(3) fills it.
type siginfo struct {
	signo, errno, code, _ int32
	pid, uid              int32
	value                 unsafe.Pointer
	_                     [128 - 32]byte
}

const siQueue = -1

// send asks one thread to answer. A thread that has ended is no error.
func send(tid int) error {
	info := siginfo{signo: int32(unix.SIGURG), code: siQueue, pid: int32(os.Getpid()), uid: int32(os.Getuid()), value: unsafe.Pointer(&asked)}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(os.Getpid()), uintptr(tid),
		uintptr(unix.SIGURG), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 && !errors.Is(errno, unix.ESRCH) {
		return fmt.Errorf("%w: rt_tgsigqueueinfo to thread %d: %w", ErrUnable, tid, errno)
	}
	signals.Add(1)
	return nil
}
