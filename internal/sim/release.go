package sim

import (
	"fmt"
	"math/bits"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// begin begins a release, or a round of it.
func (u *unmaps) begin(s *unmapState, i int, at unmapPlace) {
	t := &s.actors[i]
	if u.flaw == raisesAtOnce && at == asks {
		at = releaseTwo
	}
	t.at, t.found, t.stays = at, false, 0
	for n := range u.actors() {
		if n != i && s.actors[n].word.State() != tracking.Kernel {
			t.stays |= 1 << n
		}
	}
	u.rewind(t)
}

// rewind begins to look at words: first at whose there are, if that changes.
func (u *unmaps) rewind(t *unmapActor) {
	if t.next, t.there = 0, 0; u.world.Ends == 0 {
		t.next, t.there = 1, 1<<(u.world.Threads+1)-2
	}
}

// release is one atom of R1 to R5, of what Unmap does before, or of what happens when a
// bound is passed.
func (u *unmaps) release(s *unmapState, i int) {
	t := &s.actors[i]
	switch t.at {
	case asks, releaseOne, setsLater, releaseThree:
		u.look(s, i)
	case puts:
		u.putOnList(s, i)
	case settles:
		u.settle(s, i)
	case releaseTwo:
		u.raise(s, i)
	case releaseFour, forces:
		u.take(s, t)
	case munmaps, munmapsNow:
		u.munmap(s, i)
	case releaseFive:
		u.lower(s, i)
		u.lowered(s, i)
	case tidies:
		t.word = t.word.Done()
		u.end(t)
		u.say("takes UNMAP out of its word")
	}
}

func (u *unmaps) putOnList(s *unmapState, i int) {
	t := &s.actors[i]
	if u.flaw != looksBeforeItPuts {
		u.enlist(s)
	}
	t.own = false
	full := u.world.Bound > 0 && int(s.pending) > u.world.Bound && u.flaw != ignoresBound
	if u.begin(s, i, settles); full {
		t.at = forces
	}
	u.say("puts the mapping on the list: %d", int(s.pending))
}

// settle is the top of a round.
func (u *unmaps) settle(s *unmapState, i int) {
	t := &s.actors[i]
	switch {
	case s.pending == 0 && (u.flaw != looksBeforeItPuts || t.rounds > 0):
		u.over(s, t, false)
		u.say("the list is empty")
	case u.flaw == asksOnlyOnce && t.rounds > 0:
		u.begin(s, i, releaseTwo)
		u.say("goes on")
	default:
		u.begin(s, i, releaseOne)
		u.say("the list is not empty")
	}
}

// look looks at one word, and decides after the last of them.
func (u *unmaps) look(s *unmapState, i int) {
	t := &s.actors[i]
	if t.next == 0 {
		t.there = 0
		for n := 1; n <= u.world.Threads; n++ {
			if !s.actors[n].gone {
				t.there |= 1 << n
			}
		}
		u.say("asks who is there")
	} else {
		o := &s.actors[t.next]
		word, out := o.word.SetWork(tracking.Unmap)
		t.found = t.found || out
		sets := t.at == setsLater || t.at == releaseOne && u.flaw != looksThenSets && (t.why != forReturn || u.flaw != handsNothingOn)
		if sets && out {
			o.word = word
		}
		u.sayLook(t, out, sets)
	}
	for t.next++; int(t.next) <= u.world.Threads && t.there&(1<<t.next) == 0; {
		t.next++
	}
	if int(t.next) > u.world.Threads {
		u.looked(s, i)
	}
}

func (u *unmaps) sayLook(t *unmapActor, out, sets bool) {
	what := map[unmapPlace]string{asks: "", releaseOne: "R1: ", setsLater: "R1: ", releaseThree: "R3: "}[t.at]
	switch {
	case !out:
		what += "CPU%d is in Kernel"
	case sets:
		what += "CPU%d is out, and owes UNMAP"
	default:
		what += "CPU%d is out"
	}
	u.say(what, int(t.next))
}

func (u *unmaps) looked(s *unmapState, i int) {
	t := &s.actors[i]
	there := t.there
	u.rewind(t)
	switch {
	case t.found && t.at == asks:
		t.at = puts
	case t.found && t.at == releaseThree:
		t.at = releaseFive
	case t.found && t.at == releaseOne && u.flaw == looksThenSets:
		t.at = setsLater
	case t.found || t.at == setsLater:
		u.over(s, t, false)
	case t.at == releaseOne && u.spent(t):
		u.over(s, t, true)
	case t.at == releaseThree || u.flaw == neverRaises:
		u.mayMunmap(t)
	default:
		t.at = releaseTwo
		if u.flaw == listsTooEarly {
			t.there = there
		}
	}
}

// spent: it has released as many as it may.
func (u *unmaps) spent(t *unmapActor) bool {
	limited := t.why == forReturn && u.flaw != releasesAll || t.why == forEnd && u.flaw == endsWithFew
	return limited && u.world.PerReturn > 0 && int(t.rounds) >= u.world.PerReturn
}

// mayMunmap: nobody is out, and who goes out waits.
func (u *unmaps) mayMunmap(t *unmapActor) {
	if t.at = releaseFour; t.own {
		t.at, t.mine = munmaps, 1
	}
}

func (u *unmaps) raise(s *unmapState, i int) {
	t := &s.actors[i]
	for n := range u.actors() {
		if t.stays&(1<<n) != 0 && s.actors[n].at == atDoor {
			u.violate(CheckBudget, fmt.Sprintf("CPU%d waits for a release that began after it went out", n))
			return
		}
	}
	if u.flaw == walksAway && s.releasing > 0 {
		u.say("somebody else releases")
		if t.at = puts; !t.own {
			u.over(s, t, false)
		}
		return
	}
	t.raised, t.stays = true, 0
	if s.releasing++; u.flaw == oneFlag {
		s.releasing = 1
	}
	t.at = releaseThree
	if u.flaw == listsTooEarly {
		t.next = uint8(bits.TrailingZeros8(t.there))
	}
	if u.flaw == looksOnce || u.flaw == looksOnlyFirst && t.rounds > 0 || u.flaw == listsTooEarly && t.there == 0 {
		u.mayMunmap(t)
	}
	u.say("R2: raises the count of releases")
}

// take takes one from the list; if a bound is passed, all.
func (u *unmaps) take(s *unmapState, t *unmapActor) {
	t.mine = min(1, s.pending)
	if t.at == forces || u.flaw == takesAll {
		t.mine = s.pending
	}
	if t.why == forReturn && u.world.PerReturn > 0 && int(t.rounds+t.mine) > u.world.PerReturn {
		u.violate(CheckBudget, fmt.Sprintf("releases more than %d before it goes on", u.world.PerReturn))
		return
	}
	u.delist(s, t.mine)
	switch {
	case t.at == forces:
		t.at = munmapsNow
		u.say("a bound is passed: takes %d from the list", int(t.mine))
	case t.mine == 0:
		t.at = releaseFive
		u.say("R4: the list is empty")
	default:
		t.at = munmaps
		u.say("R4: takes %d from the list", int(t.mine))
	}
}

// munmap hits whoever is isolated: its interrupts may come at any time after the look.
func (u *unmaps) munmap(s *unmapState, i int) {
	t := &s.actors[i]
	if u.flaw == lowersEarly && t.raised && t.at == munmaps {
		u.lower(s, i)
		return
	}
	forced := t.at == munmapsNow
	for n := range u.actors() {
		if s.actors[n].at == atLarge && t.mine > 0 && !u.mayHit(&s.actors[n], i, forced) {
			u.violate(CheckDisturbed, fmt.Sprintf("CPU%d is isolated and gets the interrupt of an munmap", n))
			return
		}
	}
	if forced {
		u.say("munmaps %d", int(t.mine))
		s.gone, t.mine = s.gone+t.mine, 0
		u.end(t)
		return
	}
	u.say("munmaps")
	s.gone++
	switch t.mine--; {
	case t.mine > 0:
	case t.raised:
		t.at = releaseFive
	default:
		u.lowered(s, i)
	}
}

// mayHit: an munmap may interrupt an isolated thread because a bound was passed, or, once,
// because it was under way before the thread went out, and the thread has given up to wait
// for its end.
func (u *unmaps) mayHit(o *unmapActor, by int, forced bool) bool {
	switch {
	case forced:
		u.event = EventForced
	case o.met&(1<<by) != 0:
		o.met &^= 1 << by
		u.event = EventMet
	default:
		return false
	}
	return true
}

func (u *unmaps) lower(s *unmapState, i int) {
	s.actors[i].raised = false
	if s.releasing--; u.flaw == oneFlag {
		s.releasing = 0
	}
	for n := range s.actors {
		s.actors[n].met &^= 1 << i
	}
	u.say("R5: lowers the count of releases")
}

// lowered goes on after R5.
func (u *unmaps) lowered(s *unmapState, i int) {
	t := &s.actors[i]
	switch {
	case t.found && t.own:
		t.at = puts
	case t.own:
		u.end(t)
	case t.found && u.flaw == setsOnlyOnce:
		u.over(s, t, false)
	default:
		if counts := t.why == forReturn || u.flaw != noFlaw; counts && !t.found && t.rounds <= uint8(u.world.PerReturn) {
			t.rounds++ // more are not told apart
		}
		t.at, t.found, t.stays = settles, false, 0
	}
}

// over ends what settles. left: there may be something that nobody has taken over.
func (u *unmaps) over(s *unmapState, t *unmapActor, left bool) {
	if u.flaw == looksBeforeItPuts && t.why == forCall && !t.own {
		u.enlist(s)
	}
	switch {
	case t.why != forReturn || t.word.State() != tracking.Kernel:
		u.end(t)
	case left:
		u.keep(t, u.flaw == dropsBit)
	default:
		u.end(t)
		t.at = tidies
	}
}

func (u *unmaps) end(t *unmapActor) {
	t.next, t.there, t.found, t.why, t.own, t.rounds, t.stays = 0, 0, false, noReason, false, 0, 0
	if t.at = atHome; t.word.State() != tracking.Kernel {
		t.at = leaves // wrong protocol only: releases before it swaps its word
	}
}
