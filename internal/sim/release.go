package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// begin begins a release, or a round of it.
func (u *unmaps) begin(s *unmapState, i int, at unmapPlace) {
	t := &s.actors[i]
	if u.flaw == raisesAtOnce && at == asks {
		at = releaseTwo
	}
	t.at, t.next, t.found, t.stays = at, 1, false, 0
	for n := range u.actors() {
		if n != i && s.actors[n].word.State() != tracking.Kernel {
			t.stays |= 1 << n
		}
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
		if u.flaw != looksBeforeItPuts {
			s.pending++
		}
		t.own = false
		u.begin(s, i, releaseOne)
		u.say("puts the mapping on the list")
	case releaseTwo:
		u.raise(s, i)
	case releaseFour, forces:
		u.take(s, t)
	case munmaps, munmapsNow:
		u.munmap(s, i)
	case releaseFive:
		if s.releasing--; u.flaw == oneFlag {
			s.releasing = 0
		}
		u.say("R5: lowers the count of releases")
		u.lowered(s, i)
	}
}

// look looks at one word, and decides after the last of them.
func (u *unmaps) look(s *unmapState, i int) {
	t := &s.actors[i]
	o := &s.actors[t.next]
	word, out := o.word.SetWork(tracking.Unmap)
	t.found = t.found || out
	sets := t.at == setsLater || t.at == releaseOne && u.flaw != looksThenSets && (t.byCall || u.flaw != handsNothingOn)
	if sets && out {
		o.word = word
	}
	u.sayLook(t, out, sets)
	if t.next++; int(t.next) > u.world.Threads {
		t.next = 1
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
	switch {
	case t.found && t.at == asks:
		t.at = puts
	case t.found && t.at == releaseThree:
		t.at = releaseFive
	case t.found && t.at == releaseOne && u.flaw == looksThenSets:
		t.at = setsLater
	case t.found || t.at == setsLater:
		u.over(s, t)
	case t.at == releaseThree || u.flaw == neverRaises:
		u.mayMunmap(t)
	default:
		t.at = releaseTwo
	}
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
			u.over(s, t)
		}
		return
	}
	if s.releasing++; u.flaw == oneFlag {
		s.releasing = 1
	}
	if t.at = releaseThree; u.flaw == looksOnce {
		u.mayMunmap(t)
	}
	u.say("R2: raises the count of releases")
}

// take takes the whole list.
func (u *unmaps) take(s *unmapState, t *unmapActor) {
	t.mine, s.pending = s.pending, 0
	if t.at == forces {
		t.at = munmapsNow
		u.say("a bound is passed: takes %d from the list", int(t.mine))
		return
	}
	t.at = munmaps
	u.say("R4: takes %d from the list", int(t.mine))
}

// munmap hits whoever is isolated: its interrupts may come at any time after the look.
func (u *unmaps) munmap(s *unmapState, i int) {
	t := &s.actors[i]
	if u.flaw == lowersEarly && t.at == munmaps && !t.found { // found: it has
		s.releasing--
		t.found = true
		u.say("R5: lowers the count of releases")
		return
	}
	forced := t.at == munmapsNow
	for n := range u.actors() {
		if s.actors[n].at != atLarge || t.mine == 0 {
			continue
		}
		if !forced {
			u.violate(CheckDisturbed, fmt.Sprintf("CPU%d is isolated and gets the interrupt of an munmap", n))
			return
		}
		u.event = EventForced
	}
	u.say("munmaps %d", int(t.mine))
	s.gone, t.mine = s.gone+t.mine, 0
	switch {
	case forced || u.flaw == neverRaises:
		u.end(t)
	case u.flaw == lowersEarly:
		t.found = false
		u.lowered(s, i)
	default:
		t.at = releaseFive
	}
}

// lowered goes on after R5.
func (u *unmaps) lowered(s *unmapState, i int) {
	t := &s.actors[i]
	switch {
	case t.found && t.own:
		t.at = puts
	case t.found && u.flaw != setsOnlyOnce:
		u.begin(s, i, releaseOne)
	default:
		u.over(s, t)
	}
}

// over ends a release of the list.
func (u *unmaps) over(s *unmapState, t *unmapActor) {
	if u.flaw == looksBeforeItPuts && t.byCall && !t.own {
		s.pending++
	}
	full := u.world.Bound > 0 && int(s.pending) > u.world.Bound && t.byCall && u.flaw != ignoresBound
	if u.end(t); full {
		t.at = forces
	}
}

func (u *unmaps) end(t *unmapActor) {
	t.next, t.found, t.byCall, t.own, t.stays = 0, false, false, false, 0
	if t.at = atHome; t.word.State() != tracking.Kernel {
		t.at = leaves // wrong protocol only: releases before it swaps its word
	}
}
