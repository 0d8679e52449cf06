package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Deferred unmaps, a model of its own: no sites, no patcher. Callers of Unmap, and threads
// that go into isolation and come back; these call it too, while they are in Kernel. A
// mapping waits on a list until nobody is out. A thread whose isolation has begun must not
// be hit by an munmap, and no mapping may be forgotten.
//
//	Unmap      is anybody out? no: R2 to R5 for this mapping alone; else, or if R3 found
//	           somebody: put the mapping on the list, then settle
//	settle     the list is empty: over
//	           R1 set UNMAP in every word that is not in Kernel; one took it: over
//	           R2 raise the count of releases (locked)
//	           R3 is anybody out? yes: R5, and again from the top
//	           R4 take ONE mapping from the list, munmap it
//	           R5 lower the count, and again from the top
//	come back  swap the word; UNMAP is in it: settle, but release PerReturn at most, and
//	           nothing if somebody has the list's lock. If something may be left that nobody has
//	           taken over, UNMAP stays in the word; else take it out
//	go out     swap the word, with UNMAP if that has stayed there; wait until the count is
//	           0, or give up; now isolation has begun
//	end        leave the list of threads, then settle, however much that is
//	bound      passed: munmap the whole list at once, whoever is out
//	timer      runs while the list is not empty; the oldest is too old: that is a bound
//
// So a mapping may stay although everybody is in Kernel, but only as long as the timer runs,
// and with UNMAP in the word of a thread.
//
// In R1 the look and the bit are one compare-and-swap: whoever is found outside owes. And
// whoever is found in Kernel in R3 has to wait when it goes out. The look before R2 is
// there for those who wait: while they do, no other release raises the count.

// UnmapWorld is a world of deferred unmaps. The zero one is none.
type UnmapWorld struct {
	Threads   int  // that go into isolation
	Callers   int  // others, which only call Unmap; one at least
	Visits    int  // how often each thread goes into isolation
	Unmaps    int  // how often each caller calls Unmap
	Inside    int  // how often each thread does
	Nested    int  // how often each thread finds UNMAP in its word without having been out
	Ends      int  // how often each thread ends; another one may begin in its place
	PerReturn int  // mappings that a thread that comes back releases at most; 0: any number
	Bound     int  // so many mappings may be pending; 0: any number
	Timer     bool // and for so long
	GivesUp   bool // threads that go out do not wait for ever
}

// unmapActorsMax bounds the state.
const unmapActorsMax = 8

// unmapPlace is where an actor is.
type unmapPlace uint8

const (
	atHome       unmapPlace = iota // in Kernel, and not in what follows
	asked                          // wrong protocol only: has found nobody releasing
	atDoor                         // has swapped its word, isolation has not begun
	atLarge                        // isolated
	leaves                         // wrong protocol only: has read what it owes
	isBack                         // has swapped its word
	isOff                          // has left the list of threads
	asks                           // Unmap's look
	puts                           // Unmap puts its mapping on the list
	settles                        // is the list empty?
	releaseOne                     // R1
	setsLater                      // wrong protocol only: has looked, sets the bits
	releaseTwo                     // R2
	releaseThree                   // R3
	releaseFour                    // R4, the list
	munmaps                        // R4, the mapping
	releaseFive                    // R5
	tidies                         // takes UNMAP out of its word
	expires                        // the timer has fired
	forces                         // a bound is passed: the list
	munmapsNow                     // the mappings
)

// unmapReason is why an actor settles.
type unmapReason uint8

const (
	noReason unmapReason = iota
	forCall              // of Unmap
	forReturn
	forEnd
)

type unmapActor struct {
	word   tracking.Word
	at     unmapPlace
	why    unmapReason
	next   uint8 // word to look at; 0: has yet to ask whose there are
	there  uint8 // whose there are
	found  bool  // somebody is out
	own    bool  // releases its own mapping and no other
	raised bool  // between R2 and R5
	owes   bool  // what it found in its word
	gone   bool  // the thread has ended
	mine   uint8 // mappings in hand
	rounds uint8 // releases since it settles
	stays  uint8 // threads that are out since this round began
	met    uint8 // releases under way since before it went out, for which it does not wait
	fired  unmapTimer
	visits uint8 // how often it may still go out
	left   uint8 // how often it may still call Unmap
	nested uint8
	ends   uint8
}

// unmapTimer says for what the timer runs, or ran when it fired.
type unmapTimer uint8

const (
	forNothing unmapTimer = iota
	forOldest             // the age of what is the oldest now
	forTaken              // of something that is not on the list any more
)

type unmapState struct {
	actors    [unmapActorsMax]unmapActor
	releasing uint8
	pending   uint8
	put, gone uint8 // mappings handed to Unmap, and munmapped
	timer     unmapTimer
}

type unmaps struct {
	watch
	world  UnmapWorld
	layout tracking.Layout
	flaw   flaw
}

// actors: number 0 is a caller, then come the threads, further callers, and the timer.
func (u *unmaps) actors() int {
	if u.world.Timer {
		return u.timer() + 1
	}
	return u.timer()
}

func (u *unmaps) timer() int { return u.world.Threads + u.world.Callers }

func (u *unmaps) isThread(i int) bool { return i >= 1 && i <= u.world.Threads }

func (u *unmaps) start() (s unmapState) {
	for i := range u.timer() {
		a := &s.actors[i]
		a.left = uint8(u.world.Unmaps)
		if u.isThread(i) {
			a.visits, a.left = uint8(u.world.Visits), uint8(u.world.Inside)
			a.nested, a.ends = uint8(u.world.Nested), uint8(u.world.Ends)
		}
	}
	return s
}

func (u *unmaps) atoms(s *unmapState, i int, out []atom) []atom {
	a := &s.actors[i]
	add := func(can bool, o op) { out = offer(out, i, can, o) }
	waits := s.releasing > 0 && u.flaw != doesNotWait && u.flaw != asksBeforeTheDoor
	switch a.at {
	case atHome:
		return u.homeAtoms(s, i, out)
	case atDoor:
		add(!waits, opStep)
		add(waits && u.world.GivesUp, opGiveUp)
	case isBack:
		add(true, opStep)
		add(a.owes && u.flaw != releasesBeforeSwap, opFail) // somebody has the list's lock
	case isOff:
		add(true, opStep)
		add(u.flaw == endsIfUnlocked, opFail)
	case expires:
		add(true, opStep)
		add(a.fired == forTaken && s.pending > 0, opFail) // too early for what is there now
	default:
		add(true, opStep)
	}
	return out
}

// homeAtoms is what an actor can begin.
func (u *unmaps) homeAtoms(s *unmapState, i int, out []atom) []atom {
	a := &s.actors[i]
	add := func(can bool, o op) { out = offer(out, i, can, o) }
	if i == u.timer() {
		add(s.timer != forNothing, opAge)
		return out
	}
	add(a.left > 0 && !a.gone, opUnmap)
	add(a.visits > 0 && !a.gone && !(s.releasing > 0 && u.flaw == asksBeforeTheDoor), opEnter)
	add(a.nested > 0 && u.owing(a), opNested)
	add(a.ends > 0 && !a.gone, opEnd)
	add(a.gone && a.visits > 0, opBegin)
	return out
}

func offer(out []atom, i int, can bool, o op) []atom {
	if can {
		out = append(out, atom{actor: uint8(i), op: o})
	}
	return out
}

// owing: UNMAP has stayed in the word.
func (u *unmaps) owing(a *unmapActor) bool {
	return a.word.State() == tracking.Kernel && a.word.Work()&tracking.Unmap != 0
}

// inspect checks a state.
func (u *unmaps) inspect(s *unmapState, stuck bool) {
	home, busy, owed := true, false, false
	for i := range u.actors() {
		a := &s.actors[i]
		home = home && a.at == atHome
		busy = busy || a.at > atLarge
		owed = owed || u.owing(a)
		if stuck && a.at != atHome {
			u.violate(CheckLiveness, fmt.Sprintf("CPU%d waits for ever", i))
		}
	}
	left := s.put - s.gone
	switch {
	case home && left != s.pending:
		u.violate(CheckStranded, fmt.Sprintf("everybody is in Kernel, %d of %d mappings are left, and %d are on the list", left, s.put, s.pending))
	case home && left > 0 && !owed:
		u.violate(CheckStranded, fmt.Sprintf("everybody is in Kernel, %d of %d mappings are left, and nobody owes UNMAP", left, s.put))
	case stuck && left > 0 && u.world.Timer:
		u.violate(CheckStranded, fmt.Sprintf("all is quiet, %d of %d mappings are left, and the timer does not run", left, s.put))
	case !busy && s.releasing > 0:
		u.violate(CheckLiveness, "nobody releases, and the count says that somebody does")
	case !busy && u.world.Bound > 0 && int(s.pending) > u.world.Bound:
		u.violate(CheckBudget, fmt.Sprintf("%d mappings are pending, the bound is %d", s.pending, u.world.Bound))
	}
}

// check returns what is wrong with the numbers.
func (w UnmapWorld) check(name string) error {
	if w.Callers < 1 || (&unmaps{world: w}).actors() > unmapActorsMax || w.Threads*w.Visits > 250 || w.PerReturn > 250 ||
		w.Callers*w.Unmaps+w.Threads*w.Inside > 250 || w.Nested > 250 || w.Ends > 250 {
		return fmt.Errorf("world %q: more may happen than the model counts: %+v", name, w)
	}
	return nil
}
