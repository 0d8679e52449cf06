package sim

import "fmt"

// run appends the states that follow when thread i takes its next atom.
func (x *explorer) run(s state, i int) {
	t := &s.threads[i]
	if t.off {
		x.comeBack(s, i)
		return
	}
	who := fmt.Sprintf("CPU%d", i+1)
	if t.away > 0 && (t.at != idle || t.left > 0) {
		u := s
		u.threads[i].away--
		u.threads[i].off = true
		if u.p.waits&(1<<i) != 0 { // the sync does not wait for who does not run
			u.p.waits &^= 1 << i
			u.threads[i].owes = true
		}
		x.next(u, who, "thread is taken off the CPU in "+placeNames[t.at])
	}
	switch t.at {
	case idle:
		x.begin(s, i, who)
	case fetch:
		x.execute(s, i, who)
	case jump:
		x.end(s, i, who)
	default:
		x.handle(s, i, who)
	}
}

func (x *explorer) comeBack(s state, i int) {
	t := &s.threads[i]
	t.off = false
	if t.owes && !x.mutant.NoCatchUp {
		s.serialize(i)
	}
	t.owes = false
	x.next(s, fmt.Sprintf("CPU%d", i+1), "thread comes back")
}

// begin starts a check at any of the sites.
func (x *explorer) begin(s state, i int, who string) {
	if s.threads[i].left == 0 {
		return
	}
	for n := range x.world.Sites {
		u := s
		t := &u.threads[i]
		t.at, t.site, t.batch, t.promise = fetch, uint8(n), u.begun, u.shown
		if u.active {
			t.promise = none
		}
		x.next(u, who, fmt.Sprintf("begins a check at site %d", n))
	}
}

// execute runs the instruction with every combination of bytes that the CPU
// may see.
func (x *explorer) execute(s state, i int, who string) {
	see := s.maySee[i][s.threads[i].site]
	for h := range uint8(4) {
		if see[head]&(1<<h) == 0 {
			continue
		}
		if h == trapped {
			u := s
			u.threads[i].at = trap
			x.next(u, who, "executes CC")
			continue
		}
		for c := range uint8(2) {
			if see[tail]&(1<<c) == 0 {
				continue
			}
			if h != same && h != c {
				x.violate(CheckTorn, fmt.Sprintf("%s executes the head of %d with the tail of %d at site %d", who, h, c, s.threads[i].site))
				return
			}
			u := s
			u.threads[i].at, u.threads[i].value = jump, c
			x.next(u, who, fmt.Sprintf("executes the compare: %d", c))
		}
	}
}

// end is the jump: the check is over.
func (x *explorer) end(s state, i int, who string) {
	t := &s.threads[i]
	if t.promise != none && t.batch == s.begun && t.value != t.promise {
		x.violate(CheckStale, fmt.Sprintf("%s: a check that began after the call returned saw %d, promised is %d", who, t.value, t.promise))
		return
	}
	*t = thread{left: t.left - 1, away: t.away}
	x.next(s, who, "jumps: the check is over")
}

// handle is the trap handler, one read of shared memory per atom. H1 to H5 as
// in internal/trap.
func (x *explorer) handle(s state, i int, who string) {
	t := &s.threads[i]
	again := func(why string) {
		t.at, t.seq, t.value = fetch, 0, 0
		x.next(s, who, "executes the site again: "+why)
	}
	switch t.at {
	case trap:
		t.seq = s.vec.seq
		if t.seq%2 != 0 {
			again("H3, the vector is changing")
			return
		}
		t.at = search
		x.next(s, who, "handler reads the sequence count")
	case search:
		t.at, t.value = missing, 0
		if x.mutant.finds(s.vec, t.site) {
			t.at, t.value = found, s.vec.value
		}
		x.next(s, who, "handler searches the vector: "+placeNames[t.at])
	case found:
		x.emulate(s, i, who, again)
	case missing:
		if s.mem[t.site][head] == trapped {
			t.at = foreign
			x.next(s, who, "handler finds CC at the site")
			return
		}
		if x.mutant.NoLateRule {
			x.violate(CheckLost, who+": a late trap went to somebody else")
			return
		}
		again("H4, a late trap")
	case foreign:
		if s.vec.seq != t.seq && !x.mutant.NoRecheck {
			again("H3, the vector has changed")
			return
		}
		x.violate(CheckLost, who+": our trap went to somebody else (H5)")
	}
}

// emulate is H2, or H3 if the vector has changed since.
func (x *explorer) emulate(s state, i int, who string, again func(string)) {
	t := &s.threads[i]
	switch {
	case s.vec.seq != t.seq && !x.mutant.NoRecheck:
		again("H3, the vector has changed")
	case t.value == garbage:
		x.violate(CheckLost, who+": emulates half of an entry")
	case x.mutant.WrongResume:
		x.violate(CheckTorn, who+": resumes in the middle of the site")
	default:
		t.at, t.seq = jump, 0
		x.next(s, who, fmt.Sprintf("handler emulates the compare: %d", t.value))
	}
}
