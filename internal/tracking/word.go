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

var stateNames = [...]string{"KERNEL", "IDLE", "USER", "GUEST"}

func (s State) String() string { return stateNames[s&stateMask] }

// Work is a set of things that a thread owes: bits, each with one action that
// may be done once for many requests. The names are the kernel's CT_WORK_*.
type Work uint8

// Kinds of work. What each asks for is in internal/deferral, and so is how to add
// one.
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
	stateMask = 1<<stateBits - 1

	// WorkMask is the bits of work.
	WorkMask = Word(1<<workBits-1) << workShift

	// CounterBitsMax is the widest counter, and the one to use outside tests.
	CounterBitsMax = 64 - stateBits - workBits
	// CounterBitsMin is the narrowest: one bit for the direction, one for a
	// difference. Tests use it to make the counter wrap.
	CounterBitsMin = 2
)

// Layout is how many bits the counter has, between CounterBitsMin and
// CounterBitsMax. The zero Layout means CounterBitsMax. The counter ends at the most
// significant bit, so it wraps by itself.
type Layout struct{ CounterBits uint8 }

func (l Layout) shift() uint8 {
	if l.CounterBits == 0 {
		return 64 - CounterBitsMax
	}
	return 64 - l.CounterBits
}

// State returns the state.
func (w Word) State() State { return State(w & stateMask) }

// Work returns what is owed.
func (w Word) Work() Work { return Work(w >> workShift & (1<<workBits - 1)) }

// Count returns the counter: even in Kernel, odd elsewhere.
func (l Layout) Count(w Word) uint64 { return uint64(w >> l.shift()) }

// Step returns what has to be added to the word of a thread that goes from one state to
// another: one addition of the whole word, whatever work is set meanwhile. The counter
// moves when the thread leaves Kernel and when it comes back.
func (l Layout) Step(from, to State) Word {
	step := Word(to) - Word(from)
	if (from == Kernel) != (to == Kernel) {
		step += 1 << l.shift()
	}
	return step
}

// Enter returns the word of a thread that goes from Kernel to s, and whether it
// may: a thread that is out already stays where it is.
func (l Layout) Enter(w Word, s State) (Word, bool) {
	if w.State() != Kernel || s == Kernel {
		return w, false
	}
	return w + l.Step(Kernel, s), true
}

// Leave returns the word of a thread that is back in Kernel. What it owes stays in
// the word until it is done: the caller changes the word first, does the work next,
// before any patchable text, and calls Done last. Work that is set after the change
// goes to a thread in Kernel, and SetWork refuses that. A signal handler that comes
// in between finds the work in the word and does it, too.
func (l Layout) Leave(w Word) Word { return w + l.Step(w.State(), Kernel) }

// Done returns the word without work.
func (w Word) Done() Word { return w &^ WorkMask }

// Owing returns the word with work added, in whatever state.
func (w Word) Owing(work Work) Word { return w | Word(work&(1<<workBits-1))<<workShift }

// SetWork returns the word with work added, and whether the thread will see it
// before it runs patchable text. It refuses a thread in Kernel: such a one has
// to be interrupted.
func (w Word) SetWork(work Work) (Word, bool) {
	if w.State() == Kernel {
		return w, false
	}
	return w.Owing(work), true
}

// Passed reports whether a thread has been outside Kernel at some time between
// two readings of its word, or at the first one. A counter that wraps exactly
// hides that; then a later reading shows it.
func (l Layout) Passed(before, now Word) bool {
	return before.State() != Kernel || l.Count(before) != l.Count(now)
}
