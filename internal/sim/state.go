package sim

import (
	"hash/maphash"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Codes of a byte. The bytes of an instruction that shows the value v have the
// code v: two bytes of different codes are a torn instruction.
const (
	code0   = 0
	code1   = 1
	trapped = 2 // the head only
	same    = 3 // a byte that the batches of this world do not change
	garbage = 3 // what the vector holds while it changes
)

// Bytes of a site.
const (
	head = 0
	tail = 1
)

// cell is the two bytes of a site, or for each of them a bit set of codes.
type cell [2]uint8

// The places where a thread can be.
type place uint8

const (
	idle     place = iota // between checks
	fetch                 // about to execute the site
	jump                  // between the compare and its jump: the value is in the flags
	stub                  // inside the code that the call led to
	trap                  // took the trap, its handler has not started
	search                // handler: has read the sequence count
	found                 // handler: has copied an entry
	resume                // handler: has seen that the entry was whole; the kernel will go on there
	missing               // handler: found no entry
	unknown               // handler: found no entry, and CC at the site
	isolated              // runs no patchable text
	sigEnter              // a signal handler begins
	sigLeave              // a signal handler is about to return
	catchUp               // is back, and has yet to do what it owes
	caughtUp              // has done it, and has yet to say so
	early                 // wrong protocol only: caught up, and not back yet
	switches              // wrong protocol only: has read its word, and will store another
)

var placeNames = [...]string{
	"idle", "fetch", "jump", "stub", "trap", "search", "found", "resume", "missing", "unknown",
	"isolated", "sigEnter", "sigLeave", "catchUp", "caughtUp", "early", "switches",
}

// noPromise is the promise of a check that began while a batch was under way.
const noPromise = 2

// frame is where a thread stands: in its own code, or in a signal handler.
type frame struct {
	at      place
	site    uint8
	value   uint8  // seen, or copied from the entry
	sent    bool   // the trap is a SIGTRAP that no int3 raised
	seq     uint32 // sequence count that the handler has read
	promise uint8  // what the check must see, if no batch begins meanwhile
	batch   uint8  // batches begun when the check began
}

type thread struct {
	frame
	outer    frame // what the signal handler interrupted
	inSignal bool
	cameFrom tracking.State // the signal handler ended an isolation; Kernel: it did not
	off      bool           // the CPU
	deferred bool           // wrong protocol only: took the work, or was seen outside, before the batch wrote
	calm     bool           // has been isolated since the sync at hand began

	cpu  uint8 // where it runs, or ran last
	word tracking.Word
	snap tracking.Word // as the patcher read it when the grace period began
	read tracking.Word // wrong protocol only: as the thread read it

	// What it may still do.
	left, away, signals, kills, visits, interrupts uint8
}

// Who is on a CPU.
const (
	nobody     = 0
	thePatcher = 1
	threadBase = 2 // plus the number of the thread
)

type cpu struct {
	on   uint8
	owes bool // a sync passed while no thread of the process was on it
}

// vector is the trap handler's table. In it are the sites [from, to).
type vector struct {
	seq      uint32
	from, to uint8
	value    uint8 // what every entry shows; garbage while it changes
}

// patcher is the driver of the production machine, and where it stands within
// the effect at hand.
type patcher struct {
	machine protocol.Machine
	site    uint8  // next site of the effect
	phase   uint8  // of the effect
	at      uint8  // next thread to ask, or CPU to interrupt
	waits   uint32 // CPUs that the sync, or threads that the grace period, has yet to reach
	spared  uint32 // CPUs that the sync at hand leaves alone
	core    bool   // it is one for all CPUs, in a world of syncs by CPU
	self    uint8  // CPU that it takes for the patcher's own
	moved   bool   // the patcher was off its CPU since
	tries   uint8  // of it
	early   bool   // wrong protocol only: has read the words before it writes
	syncs   uint16
	retried bool  // the batch failed and is tried once more, one site at a time
	cpu     uint8 // where the patcher runs, or ran last
	off     bool
	later   bool // makes the sync that batches left out
	away    uint8
}

// core is what of a state has a fixed size.
type core struct {
	vec    vector
	p      patcher
	begun  uint8 // batches begun
	active bool  // one is under way
	shown  uint8 // the value that the last batch promised
	soon   bool  // it is not certain yet: a sync has to come
	owed   bool  // it must come before anything else
	stuck  bool  // a batch could be neither finished nor undone
	faults uint8 // writes and syncs that may still fail
	freed  [2]bool
	quiet  bool // liveness phase: nothing new begins, nothing fails
}

// state is one moment of a world.
type state struct {
	core
	mem     []cell
	maySee  []cell // by CPU and site
	cpus    []cpu
	threads []thread
}

// copyFrom makes s a copy of t, in s's own memory.
func (s *state) copyFrom(t *state) {
	s.core = t.core
	s.mem = append(s.mem[:0], t.mem...)
	s.maySee = append(s.maySee[:0], t.maySee...)
	s.cpus = append(s.cpus[:0], t.cpus...)
	s.threads = append(s.threads[:0], t.threads...)
}

// hash returns one hash of everything in s.
func (s *state) hash(h *maphash.Hash) uint64 {
	h.Reset()
	maphash.WriteComparable(h, s.core)
	for i := range s.mem {
		_ = h.WriteByte(s.mem[i][head]<<4 | s.mem[i][tail])
	}
	for i := range s.maySee {
		_ = h.WriteByte(s.maySee[i][head]<<4 | s.maySee[i][tail])
	}
	for i := range s.cpus {
		b := s.cpus[i].on << 1
		if s.cpus[i].owes {
			b |= 1
		}
		_ = h.WriteByte(b)
	}
	for i := range s.threads {
		maphash.WriteComparable(h, s.threads[i])
	}
	return h.Sum64()
}

func (s *state) store(site, b int, code uint8) {
	s.mem[site][b] = code
	for i := site; i < len(s.maySee); i += len(s.mem) {
		s.maySee[i][b] |= 1 << code
	}
}

// see returns what CPU c may see at a site.
func (s *state) see(c, site uint8) cell { return s.maySee[int(c)*len(s.mem)+int(site)] }

// serialize leaves CPU c with what is in memory.
func (s *state) serialize(c uint8) {
	row := s.maySee[int(c)*len(s.mem):][:len(s.mem)]
	for i, m := range s.mem {
		row[i] = cell{1 << m[head], 1 << m[tail]}
	}
}

// target returns the value whose bytes the effect writes.
func (s *state) target(d protocol.Dir) uint8 {
	if d == protocol.Back {
		return s.shown
	}
	return 1 - s.shown
}

// finished reports whether thread i has nothing more to do, or never must do
// anything again.
func (s *state) finished(i int) bool {
	t := &s.threads[i]
	return !t.inSignal && (t.at == isolated || t.at == idle && (t.left == 0 || s.quiet))
}
