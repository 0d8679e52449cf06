package sim

import "testing"

// leftovers counts the ends at which a mapping is left. never is a thing that does not
// happen.
type leftovers struct {
	*unmaps
	never op
	at    unmapPlace
	ends  int
}

func (l *leftovers) atoms(s *unmapState, i int, out []atom) []atom {
	old := len(out)
	out = l.unmaps.atoms(s, i, out)
	if n := len(out); n > old && s.actors[i].at == l.at && out[n-1].op == l.never {
		return out[:n-1]
	}
	return out
}

func (l *leftovers) inspect(s *unmapState, stuck bool) {
	if l.unmaps.inspect(s, stuck); stuck && s.pending > 0 {
		l.ends++
	}
}

// TestLeftovers: without a timer a mapping is left for one of two reasons only, and each
// time a thread keeps UNMAP (see inspect): a thread has released as many as it may, or has
// found the list locked. With the timer none is left.
func TestLeftovers(t *testing.T) {
	for _, c := range []struct {
		name      string
		perReturn int
		locked    bool
		timer     bool
		want      bool
	}{
		{"neither", 0, false, false, false},
		{"as many as it may", 1, false, false, true},
		{"the list is locked", 0, true, false, true},
		{"both", 1, true, false, true},
		{"both, and a timer", 1, true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := World{Unmap: UnmapWorld{Threads: 2, Callers: 1, Visits: 1, Unmaps: 2, PerReturn: c.perReturn, Timer: c.timer}}
			l := &leftovers{unmaps: &unmaps{world: w.Unmap, layout: w.layout()}, never: opFail, at: isBack}
			if c.locked {
				l.never = opQuiet
			}
			r := puzzle[unmapState]{l}.find(w.Name, NoEvent)
			if r.Violation != nil {
				t.Errorf("%s: %s\n%s", r.Violation.By, r.Violation.What, r.Violation.Trace.Columns(40))
			}
			t.Logf("%d states, %d ends, at %d of them a mapping is left", r.States, r.Finished, l.ends)
			if (l.ends > 0) != c.want {
				t.Errorf("at %d ends a mapping is left", l.ends)
			}
		})
	}
}

// TestMet: a release may hit a thread that does not wait for it once, and not after its
// end; any other may not.
func TestMet(t *testing.T) {
	u := &unmaps{world: UnmapWorld{Threads: 1, Callers: 2, GivesUp: true}}
	gaveUp := func() (*unmapState, *unmapActor) {
		s := &unmapState{releasing: 1}
		o := &s.actors[1]
		s.actors[0].raised, o.visits = true, 1
		u.goOut(s, o)
		u.apply(s, atom{actor: 1, op: opGiveUp})
		return s, o
	}
	_, o := gaveUp()
	if u.mayHit(o, 2, false) || !u.mayHit(o, 0, false) || u.mayHit(o, 0, false) {
		t.Error("expected one hit, by the release that was under way")
	}
	s, o := gaveUp()
	if u.lower(s, 0); u.mayHit(o, 0, false) {
		t.Error("hit by a release that has ended")
	}
	s.releasing, s.actors[2].raised = 1, true // begins later
	if u.mayHit(o, 2, false) || !u.mayHit(o, 2, true) {
		t.Error("expected no hit by a later release, and one by a bound")
	}
}
