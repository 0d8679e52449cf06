package tracking

// State is what the thread said it is doing. The names are the kernel's
// CT_STATE_*.
type State uint8

// States. Only in Kernel may a thread run patchable text.
const (
	Kernel State = iota // runs ordinary code
	Idle                // waits; the sender decides whether to defer for it
	User                // runs a loop without sites
	Guest               // runs foreign code for long
)

// Work is a set of things that a thread owes: bits, each with one action that
// may be done once for many requests. The names are the kernel's CT_WORK_*.
type Work uint8

// Kinds of work.
const (
	Sync  Work = 1 << iota // serialize before running patchable text
	Unmap                  // mappings wait for this thread to come back
)

// Word is the context word. The zero Word is a thread in Kernel that never
// left it.
type Word uint64

const (
	stateBits = 2
	workBits  = 6
	workShift = stateBits
	workMask  = Word(1<<workBits-1) << workShift
	countAt   = stateBits + workBits

	// CounterBitsMax is the widest counter, and the one to use outside tests.
	CounterBitsMax = 64 - countAt
	// CounterBitsMin is the narrowest: one bit for the direction, one for a
	// difference. Tests use it to make the counter wrap.
	CounterBitsMin = 2
)

// Layout is how many bits the counter has, between CounterBitsMin and
// CounterBitsMax. The zero Layout means CounterBitsMax.
type Layout struct{ CounterBits uint8 }

// State returns the state.
func (w Word) State() State { return State(w & (1<<stateBits - 1)) }

// Work returns what is owed.
func (w Word) Work() Work { return Work(w >> workShift & (1<<workBits - 1)) }

// Count returns the counter: even in Kernel, odd elsewhere.
func (w Word) Count() uint64 { return uint64(w >> countAt) }

// next returns a word with the counter moved by one and state s.
func (l Layout) next(w Word, s State) Word {
	bits := l.CounterBits
	if bits == 0 {
		bits = CounterBitsMax
	}
	count := (w.Count() + 1) & (1<<bits - 1)
	return Word(count)<<countAt | w&workMask | Word(s)
}

// Enter returns the word of a thread that goes from Kernel to s, and whether it
// may: a thread that is out already stays where it is.
func (l Layout) Enter(w Word, s State) (Word, bool) {
	if w.State() != Kernel || s == Kernel {
		return w, false
	}
	return l.next(w, s), true
}

// Leave returns the word of a thread that is back in Kernel. What it owes stays in
// the word until it is done: the caller swaps the word first, does the work next,
// before any patchable text, and calls Done last. Work that is set after the swap
// goes to a thread in Kernel, and SetWork refuses that. A signal handler that comes
// in between finds the work in the word and does it, too.
func (l Layout) Leave(w Word) Word {
	if w.State() == Kernel {
		return w
	}
	return l.next(w, Kernel)
}

// Done returns the word without work.
func (w Word) Done() Word { return w &^ workMask }

// SetWork returns the word with work added, and whether the thread will see it
// before it runs patchable text. It refuses a thread in Kernel: such a one has
// to be interrupted.
func (w Word) SetWork(work Work) (Word, bool) {
	if w.State() == Kernel {
		return w, false
	}
	return w | Word(work&(1<<workBits-1))<<workShift, true
}

// Passed reports whether a thread has been outside Kernel at some time between
// two readings of its word, or at the first one. A counter that wraps exactly
// hides that; then a later reading shows it.
func Passed(before, now Word) bool {
	return before.State() != Kernel || before.Count() != now.Count()
}
