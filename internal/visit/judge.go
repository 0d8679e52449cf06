package visit

// sight is what the kernel shows of a thread that is not running: the user registers with
// which it came into the kernel, and the signals that it blocks. All are from one stay
// there.
type sight struct {
	call    int64 // number of the system call, -1 in none
	sp, pc  uintptr
	blocked uint64
}

// handler is an installed signal handler.
type handler struct {
	entry  uintptr
	blocks uint64 // while it runs: its mask, and the signal itself
}

// System calls that need a word of their own (arch/x86/entry/syscalls/syscall_64.tbl).
const (
	sysSigreturn    = 15
	sysClockGettime = 228 // the vDSO makes it, too, on behalf of Go's handlers
)

// outside reports whether the thread was surely in no stub, neither where it stood nor
// in a frame that a signal interrupted.
func outside(s sight, sc *Scene, handlers []handler) bool {
	switch {
	case s.sp == 0 && s.pc == 0:
		return true // runs no user code: a worker of io_uring, or at its end
	case sc.Stubs.has(s.pc):
		return false
	case s.call == sysSigreturn:
		return false // its mask is the interrupted frame's already, its registers are not
	}
	for _, h := range handlers {
		if s.pc == h.entry {
			return false // the frame stands, the mask may still be the interrupted one's
		}
		if h.blocks&^s.blocked == 0 && !(sc.Text.has(h.entry) && s.inForeignCall(sc)) {
			return false // may be in it
		}
	}
	return true
}

// inForeignCall reports whether the thread waits in a system call that no handler of the
// Go runtime, or of ours, makes: these run in the program's own text, and call C only
// where they interrupted C. (The thread is one of C code that blocks all signals.)
func (s sight) inForeignCall(sc *Scene) bool {
	return s.call >= 0 && s.call != sysClockGettime && !sc.Text.has(s.pc)
}
