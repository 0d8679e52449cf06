package sim

import "github.com/quietpatch/quietpatch/internal/tracking"

// What callers of Unmap and threads do besides releasing, and the timer.

func (u *unmaps) apply(s *unmapState, a atom) {
	u.event, u.said = NoEvent, ""
	i := int(a.actor)
	t := &s.actors[i]
	switch a.op {
	case opUnmap:
		u.call(s, i)
	case opAge:
		t.at, t.fired, s.timer = expires, s.timer, forNothing
		u.say("the timer fires")
	case opEnter:
		u.goOut(s, t)
	case opNested:
		t.nested--
		t.at, t.owes = isBack, true
		u.say("calls Kernel in Kernel, and finds UNMAP")
	case opEnd:
		u.leaveForGood(t)
	case opBegin:
		t.gone = false
		u.say("another thread begins here")
	case opGiveUp:
		if t.at = atLarge; u.flaw == givesUpInSilence {
			t.met = 0
		}
		u.say("does not wait any longer, and counts that: isolation has begun")
	default:
		u.step(s, i, a.op == opFail)
	}
}

// step goes on from where an actor is.
func (u *unmaps) step(s *unmapState, i int, refused bool) {
	t := &s.actors[i]
	switch t.at {
	case asked:
		u.goOut(s, t)
	case atDoor:
		t.at, t.met = atLarge, 0
		u.say("isolation has begun")
	case atLarge, leaves:
		u.leave(s, i)
	case isBack:
		u.back(s, i, refused)
	case isOff:
		if refused {
			u.end(t)
			u.say("somebody has the list")
			return
		}
		t.why = forEnd
		u.begin(s, i, settles)
		u.say("settles what is left")
	case expires:
		u.expire(s, t, refused)
	default:
		u.release(s, i)
	}
}

// call is the call of Unmap.
func (u *unmaps) call(s *unmapState, i int) {
	t := &s.actors[i]
	t.left--
	s.put++
	t.why, t.own = forCall, true
	u.begin(s, i, asks)
	u.say("Unmap")
}

// goOut is the swap on the way out.
func (u *unmaps) goOut(s *unmapState, t *unmapActor) {
	if u.flaw == asksBeforeTheDoor && t.at == atHome {
		t.at = asked
		u.say("nobody releases: may go out")
		return
	}
	t.visits--
	if u.flaw == goesOutClean {
		t.word = t.word.Done()
	}
	t.word, _ = u.layout.Enter(t.word, tracking.User)
	u.say("goes out: swaps its word")
	if t.at = atDoor; u.flaw == asksBeforeTheDoor {
		t.at = atLarge
		return
	}
	for n := range u.actors() {
		if s.actors[n].raised && u.world.GivesUp {
			t.met |= 1 << n
		}
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
		t.owes, t.why = false, forReturn
		u.begin(s, i, settles)
		u.say("owes UNMAP")
		return
	}
	t.word = u.layout.Leave(t.word)
	t.at, t.met = isBack, 0
	for n := range s.actors {
		s.actors[n].stays &^= 1 << i
	}
	u.say("comes back: swaps its word")
}

// back does the work. It comes out of the word behind that, see over.
func (u *unmaps) back(s *unmapState, i int, refused bool) {
	t := &s.actors[i]
	owes := t.owes
	t.owes = false
	switch {
	case !owes || u.flaw == releasesBeforeSwap:
		t.word, t.at = t.word.Done(), atHome // right protocol: there is none
		u.say("owes nothing")
	case refused:
		u.keep(t, u.flaw == loserDropsBit)
		u.say("owes UNMAP, somebody has the list: " + keptOrNot(t))
	default:
		t.why = forReturn
		u.begin(s, i, settles)
		u.say("owes UNMAP")
	}
}

// keep ends a return that may leave something.
func (u *unmaps) keep(t *unmapActor, drops bool) {
	if drops {
		t.word = t.word.Done()
	}
	u.end(t)
	u.event = EventKept
}

func keptOrNot(t *unmapActor) string {
	if t.word.Work() != 0 {
		return "keeps it"
	}
	return "takes it out"
}

// leaveForGood is the end of a thread: from here on nobody looks at its word.
func (u *unmaps) leaveForGood(t *unmapActor) {
	t.ends--
	t.word, t.gone = t.word.Done(), true
	if t.at = isOff; u.flaw == endsUnsettled {
		t.at = atHome
	}
	u.say("ends")
}

// expire is the timer's, with the list's lock held.
func (u *unmaps) expire(s *unmapState, t *unmapActor, early bool) {
	switch {
	case s.pending == 0:
		t.at = atHome
		u.say("the list is empty")
	case early:
		if t.at = atHome; u.flaw != timerRunsOnce {
			s.timer = forOldest
		}
		u.say("the oldest is young: the timer runs again")
	default:
		t.at = forces
		u.say("the oldest mapping is too old")
	}
	t.fired = forNothing
}

// enlist puts one on the list.
func (u *unmaps) enlist(s *unmapState) {
	if s.pending == 0 && u.world.Timer {
		s.timer = forOldest
	}
	s.pending++
}

// delist takes the oldest n.
func (u *unmaps) delist(s *unmapState, n uint8) {
	if n == 0 {
		return
	}
	if s.pending -= n; !u.world.Timer {
		return
	}
	for _, t := range []*unmapTimer{&s.timer, &s.actors[u.timer()].fired} {
		if *t == forOldest {
			*t = forTaken
		}
	}
	if s.pending == 0 || u.flaw == takeStopsTimer {
		s.timer = forNothing
	}
}
