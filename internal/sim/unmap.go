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
//	           somebody: put the mapping on the list, then release
//	come back  swap the word, take the work out of it; release if Unmap was there
//	release    R1 set Unmap in every word that is not in Kernel; one took it: over
//	           R2 raise the count of releases (locked)
//	           R3 is anybody out? yes: R5, and again from R1
//	           R4 take the whole list, munmap it
//	           R5 lower the count
//	go out     swap the word, then wait until the count is 0; now isolation has begun
//	bound      passed, and somebody is out: munmap the whole list at once
//
// In R1 the look and the bit are one compare-and-swap: whoever is found outside owes. And
// whoever is found in Kernel in R3 has to wait when it goes out. The look before R2 is
// there for those who wait: while they do, no other release raises the count.

// UnmapWorld is a world of deferred unmaps. The zero one is none.
type UnmapWorld struct {
	Threads int // that go into isolation
	Callers int // others, which only call Unmap; one at least
	Visits  int // how often each thread goes into isolation
	Unmaps  int // how often each caller calls Unmap
	Inside  int // how often each thread does
	Bound   int // so many mappings may be pending; 0: any number
	Ages    int // how often the oldest mapping gets too old
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
	asks                           // Unmap's look
	puts                           // Unmap puts its mapping on the list
	releaseOne                     // R1
	setsLater                      // wrong protocol only: has looked, sets the bits
	releaseTwo                     // R2
	releaseThree                   // R3
	releaseFour                    // R4, the list
	munmaps                        // R4, the mappings
	releaseFive                    // R5
	forces                         // a bound is passed: the list
	munmapsNow                     // the mappings
)

type unmapActor struct {
	word   tracking.Word
	at     unmapPlace
	next   uint8 // word to look at
	found  bool  // somebody is out
	byCall bool  // releases because of Unmap, not because it came back
	own    bool  // releases its own mapping and no other
	owes   bool  // wrong protocol only: what it read before it swapped
	mine   uint8 // mappings in hand
	stays  uint8 // threads that are out since this release began
	visits uint8 // how often it may still go out
	left   uint8 // how often it may still call Unmap
}

type unmapState struct {
	actors    [unmapActorsMax]unmapActor
	releasing uint8
	pending   uint8
	put, gone uint8 // mappings handed to Unmap, and munmapped
	ages      uint8
}

type unmaps struct {
	watch
	world  UnmapWorld
	layout tracking.Layout
	flaw   flaw
}

// actors: number 0 is a caller, then come the threads, then further callers.
func (u *unmaps) actors() int { return u.world.Threads + u.world.Callers }

func (u *unmaps) start() unmapState {
	s := unmapState{ages: uint8(u.world.Ages)}
	for i := range u.actors() {
		a := &s.actors[i]
		a.left = uint8(u.world.Unmaps)
		if i >= 1 && i <= u.world.Threads {
			a.visits, a.left = uint8(u.world.Visits), uint8(u.world.Inside)
		}
	}
	return s
}

func (u *unmaps) atoms(s *unmapState, i int, out []atom) []atom {
	a := &s.actors[i]
	me := uint8(i)
	waits := s.releasing > 0 && u.flaw != doesNotWait && u.flaw != asksBeforeTheDoor
	switch {
	case a.at == atHome:
		if a.left > 0 {
			out = append(out, atom{actor: me, op: opUnmap})
		}
		if a.visits > 0 && !(s.releasing > 0 && u.flaw == asksBeforeTheDoor) {
			out = append(out, atom{actor: me, op: opEnter})
		}
		if i == 0 && s.ages > 0 && s.pending > 0 {
			out = append(out, atom{actor: me, op: opAge})
		}
	case a.at != atDoor || !waits:
		out = append(out, atom{actor: me, op: opStep})
	}
	return out
}

func (u *unmaps) apply(s *unmapState, a atom) {
	u.event, u.said = NoEvent, ""
	i := int(a.actor)
	t := &s.actors[i]
	switch {
	case a.op == opUnmap:
		u.call(s, i)
	case a.op == opAge:
		s.ages--
		t.at = forces
		u.say("the oldest mapping is too old")
	case t.at == atHome, t.at == asked:
		u.goOut(t)
	case t.at == atDoor:
		t.at = atLarge
		u.say("isolation has begun")
	case t.at == atLarge, t.at == leaves:
		u.leave(s, i)
	case t.at == isBack:
		u.back(s, i)
	default:
		u.release(s, i)
	}
}

// call is the call of Unmap.
func (u *unmaps) call(s *unmapState, i int) {
	t := &s.actors[i]
	t.left--
	s.put++
	t.byCall, t.own = true, true
	u.begin(s, i, asks)
	u.say("Unmap")
}

// goOut is the swap on the way out.
func (u *unmaps) goOut(t *unmapActor) {
	if u.flaw == asksBeforeTheDoor && t.at == atHome {
		t.at = asked
		u.say("nobody releases: may go out")
		return
	}
	t.visits--
	t.word, _ = u.layout.Enter(t.word, tracking.User)
	u.say("goes out: swaps its word")
	if t.at = atDoor; u.flaw == asksBeforeTheDoor {
		t.at = atLarge
	}
}

// leave is the swap on the way back.
func (u *unmaps) leave(s *unmapState, i int) {
	t := &s.actors[i]
	t.owes = t.owes || t.word.Work()&tracking.Unmap != 0 && (t.at == atLarge || u.flaw != readsWorkFirst)
	switch {
	case u.flaw == readsWorkFirst && t.at == atLarge:
		t.at = leaves
		u.say("reads what it owes")
		return
	case u.flaw == releasesBeforeSwap && t.at == atLarge && t.owes:
		t.owes = false
		u.begin(s, i, releaseOne)
		u.say("owes UNMAP")
		return
	}
	t.word = u.layout.Leave(t.word)
	t.at = isBack
	for n := range s.actors {
		s.actors[n].stays &^= 1 << i
	}
	u.say("comes back: swaps its word")
}

// back takes the work out of the word and does it.
func (u *unmaps) back(s *unmapState, i int) {
	t := &s.actors[i]
	owes := t.owes
	t.word, t.owes = t.word.Done(), false
	if owes && u.flaw != releasesBeforeSwap {
		u.begin(s, i, releaseOne)
		u.say("owes UNMAP")
		return
	}
	t.at = atHome
	u.say("owes nothing")
}

// inspect checks a state.
func (u *unmaps) inspect(s *unmapState, stuck bool) {
	home, busy := true, false
	for i := range u.actors() {
		at := s.actors[i].at
		home = home && at == atHome
		busy = busy || at > atLarge
		if stuck && at != atHome {
			u.violate(CheckLiveness, fmt.Sprintf("CPU%d waits for ever", i))
		}
	}
	switch {
	case home && s.gone != s.put:
		u.violate(CheckStranded, fmt.Sprintf("everybody is in Kernel, and %d of %d mappings are left", s.put-s.gone, s.put))
	case !busy && s.releasing > 0:
		u.violate(CheckLiveness, "nobody releases, and the count says that somebody does")
	case !busy && u.world.Bound > 0 && int(s.pending) > u.world.Bound:
		u.violate(CheckBudget, fmt.Sprintf("%d mappings are pending, the bound is %d", s.pending, u.world.Bound))
	}
}

// check returns what is wrong with the numbers.
func (w UnmapWorld) check(name string) error {
	if w.Callers < 1 || w.Threads+w.Callers > unmapActorsMax || w.Visits > 250 || w.Callers*w.Unmaps+w.Threads*w.Inside > 250 {
		return fmt.Errorf("world %q: more may happen than the model counts: %+v", name, w)
	}
	return nil
}
