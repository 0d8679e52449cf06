package sim

import "github.com/quietpatch/quietpatch/internal/protocol"

// Bounds of the small worlds.
const (
	sitesMax   = 2
	threadsMax = 2
)

// Codes of a byte. The bytes of an instruction that shows the value v have the
// code v: two bytes of different codes are a torn instruction.
const (
	code0   = 0
	code1   = 1
	trapped = 2 // the head only
	same    = 3 // the head of a site whose toggle changes the tail only
	garbage = 3 // what the vector holds while it changes
)

// Bytes of a site.
const (
	head = 0
	tail = 1
)

// The places where a thread can be.
type place uint8

const (
	idle    place = iota // between checks
	fetch                // about to execute the site
	jump                 // between the compare and its jump: the value is in the flags
	trap                 // took the trap, its handler has not started
	search               // handler: has read the sequence count
	found                // handler: has copied an entry
	missing              // handler: found no entry
	foreign              // handler: found no entry, and CC at the site
)

var placeNames = [...]string{"idle", "fetch", "jump", "trap", "search", "found", "missing", "foreign"}

// none is the promise of a check that began while a batch was under way.
const none = 2

type thread struct {
	at    place
	site  uint8
	value uint8 // seen, or copied from the entry
	seq   uint8 // sequence count that the handler has read

	left    uint8 // checks to make
	away    uint8 // how often it may still be taken off its CPU
	promise uint8 // what the check must see, if no batch begins meanwhile
	batch   uint8 // batches begun when the check began

	off  bool // the CPU
	owes bool // a sync passed while it was off
}

// vector is the trap handler's table. In it are the sites [from, to).
type vector struct {
	seq      uint8
	from, to uint8
	value    uint8 // what every entry shows; garbage while it changes
}

// patcher is the driver of the production machine, and where it stands within
// the effect at hand.
type patcher struct {
	machine protocol.Machine
	site    uint8 // next site of the effect
	phase   uint8 // of publishing, or 1 while a sync is under way
	waits   uint8 // CPUs that the sync has yet to reach, as a bit set
	syncs   uint8
}

// state is one moment of a world. It is comparable: the explorer keeps a set of
// those it has seen.
type state struct {
	mem     [sitesMax][2]uint8
	maySee  [threadsMax][sitesMax][2]uint8 // bit sets of codes, by CPU
	vec     vector
	p       patcher
	threads [threadsMax]thread

	begun  uint8 // batches begun
	active bool  // one is under way
	shown  uint8 // the value that the last batch promised
	faults uint8 // writes and syncs that may still fail
}

func (s *state) store(site, b int, code uint8) {
	s.mem[site][b] = code
	for c := range s.maySee {
		s.maySee[c][site][b] |= 1 << code
	}
}

// serialize leaves CPU c with what is in memory.
func (s *state) serialize(c int) {
	for i := range s.mem {
		for b, code := range s.mem[i] {
			s.maySee[c][i][b] = 1 << code
		}
	}
}

// World is a small world to explore.
type World struct {
	Name     string
	Strategy protocol.Strategy
	Threads  int // besides the patcher, each on its own CPU
	Sites    int
	Batches  int
	Checks   int // per thread
	Away     int // how often a thread may be taken off its CPU
	Faults   int // how many writes or syncs may fail
	// VectorMax is the size of the vector: less than Sites means several chunks.
	VectorMax int
}

func (w World) start() state {
	var s state
	for i := range s.mem {
		s.mem[i] = [2]uint8{code0, code0}
		if w.Strategy == protocol.Store {
			s.mem[i][head] = same
		}
	}
	for c := range s.maySee {
		s.serialize(c)
	}
	for i := range w.Threads {
		s.threads[i] = thread{left: uint8(w.Checks), away: uint8(w.Away)}
	}
	s.faults = uint8(w.Faults)
	return s
}

func (w World) plan() protocol.Plan {
	return protocol.Plan{Strategy: w.Strategy, Sites: w.Sites, VectorMax: w.VectorMax}
}
