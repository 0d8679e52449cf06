package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// threadAtoms appends what thread i can do.
func (m *model) threadAtoms(s *state, i int, out []atom) []atom {
	t := &s.threads[i]
	me := uint8(i + 1)
	if t.off {
		return m.comeBackAtoms(s, i, out)
	}
	if m.disturbable(s, i) {
		out = m.disturbAtoms(s, i, out)
	}
	switch t.at {
	case idle:
		if t.left == 0 && !t.inSignal || s.quiet && !t.inSignal {
			break
		}
		for n := range s.mem {
			out = append(out, atom{me, opBegin, uint8(n)})
		}
		if t.visits > 0 && !t.inSignal && !s.quiet {
			out = append(out, atom{me, opEnter, 0})
		}
	case fetch:
		out = s.execAtoms(i, out)
	case isolated:
		out = m.isolatedAtoms(s, i, out)
	default:
		out = append(out, atom{actor: me, op: opStep})
	}
	return out
}

// comeBackAtoms: a thread comes back on a CPU that is free. One that may be
// isolated has its own, on which no other runs.
func (m *model) comeBackAtoms(s *state, i int, out []atom) []atom {
	t := &s.threads[i]
	if s.finished(i) && t.at != isolated {
		return out // has ended
	}
	for c := range s.cpus {
		if s.cpus[c].on != nobody {
			continue
		}
		own := c == int(t.cpu)
		reserved := c >= 1 && c <= m.world.Isolated && m.mutant.flaw != cpuNotReserved
		if own && i < m.world.Isolated || !m.world.Move && own || m.world.Move && i >= m.world.Isolated && !reserved {
			out = append(out, atom{uint8(i + 1), opOn, uint8(c)})
		}
	}
	return out
}

// disturbable: a thread that has done all and sits there need not be disturbed,
// except to leave the CPU to others.
func (m *model) disturbable(s *state, i int) bool {
	t := &s.threads[i]
	return !s.quiet && (t.at != idle || t.inSignal || t.left > 0 || m.world.Move)
}

func (m *model) disturbAtoms(s *state, i int, out []atom) []atom {
	t := &s.threads[i]
	me := uint8(i + 1)
	ended := t.at == idle && !t.inSignal && t.left == 0
	if t.away > 0 || ended {
		out = append(out, atom{actor: me, op: opOff})
	}
	if ended {
		return out
	}
	if t.interrupts > 0 {
		out = append(out, atom{actor: me, op: opInterrupt})
	}
	// The trap handler runs with all signals masked, and the kernel delivers a
	// trap before any other signal.
	open := t.at <= stub || t.at == isolated || t.at == catchUp || t.at == caughtUp
	if open && !t.inSignal {
		if t.signals > 0 {
			out = append(out, atom{actor: me, op: opSignal})
		}
		if t.kills > 0 && t.at <= stub {
			out = append(out, atom{actor: me, op: opKill})
		}
	}
	return out
}

// execAtoms: the instruction with every combination of bytes that the CPU may
// see. A trap byte makes the tail irrelevant.
func (s *state) execAtoms(i int, out []atom) []atom {
	t := &s.threads[i]
	see := s.see(t.cpu, t.site)
	for h := range uint8(4) {
		if see[head]&(1<<h) == 0 {
			continue
		}
		for c := range uint8(4) {
			if see[tail]&(1<<c) != 0 {
				out = append(out, atom{uint8(i + 1), opExec, h | c<<4})
				if h == trapped {
					break
				}
			}
		}
	}
	return out
}

// run carries out an atom of thread i.
func (m *model) run(s *state, i int, a atom) {
	t := &s.threads[i]
	switch a.op {
	case opOff:
		if t.away > 0 {
			t.away--
		}
		s.goOff(i)
		m.say("thread is taken off the CPU in " + placeNames[t.at])
	case opOn:
		t.cpu, t.off = a.arg, false
		m.comeOn(s, a.arg, uint8(i+threadBase))
		m.say("thread comes back in " + placeNames[t.at])
	case opInterrupt:
		t.interrupts--
		s.serialize(t.cpu)
		m.say("an interrupt")
	case opBegin:
		t.at, t.site, t.batch, t.promise = fetch, a.arg, s.begun, s.shown
		if s.active || s.soon || m.world.Breaks && t.word.State() != tracking.Kernel {
			t.promise = noPromise
		}
		m.say("begins a check at site %d", int(a.arg))
	case opExec:
		m.execute(s, t, a.arg&15, a.arg>>4)
	case opSignal, opKill:
		m.interrupt(t, a)
	case opEnter:
		m.enter(t)
	case opSwitch:
		m.switchState(t)
	default:
		m.step(s, i)
	}
}

// step is the one thing that a thread can do where it stands.
func (m *model) step(s *state, i int) {
	t := &s.threads[i]
	switch t.at {
	case jump:
		m.end(s, t)
	case stub:
		if s.freed[t.value] {
			m.violate(CheckFreed, fmt.Sprintf("CPU%d executes stub %d, which was freed", t.cpu, t.value))
			return
		}
		m.end(s, t)
	case isolated, sigEnter, sigLeave, catchUp, caughtUp, early, switches:
		m.isolation(s, i)
	default:
		m.handle(s, t)
	}
}

// execute runs the instruction with the bytes that the CPU sees.
func (m *model) execute(s *state, t *thread, h, c uint8) {
	if m.world.Strict && mixed(s.see(t.cpu, t.site)) {
		m.violate(CheckMixed, fmt.Sprintf("CPU%d executes site %d while it may see two values of it", t.cpu, t.site))
		return
	}
	if h == trapped {
		t.at = trap
		m.say("executes CC at site %d", int(t.site))
		return
	}
	if h != same && c != same && h != c {
		m.violate(CheckTorn, fmt.Sprintf("CPU%d executes the head of %d with the tail of %d at site %d", t.cpu, h, c, t.site))
		return
	}
	if h == same {
		h = c
	}
	m.shows(t, h)
	m.say("executes site %d: %d", int(t.site), int(h))
}

// mixed: both values may be seen, without a trap byte in between.
func mixed(see cell) bool {
	const both = 1<<code0 | 1<<code1
	live := see[head]&^(1<<trapped) != 0
	return see[head]&both == both || live && see[tail]&both == both
}

// shows: the instruction, or the handler in its place, has run and showed v.
func (m *model) shows(t *thread, v uint8) {
	t.at, t.value, t.seq = jump, v, 0
	if m.world.Calls {
		t.at = stub
	}
}

// end is the jump, or the way out of the stub: the check is over.
func (m *model) end(s *state, t *thread) {
	if t.promise != noPromise && t.batch == s.begun && t.value != t.promise {
		m.violate(CheckStale, fmt.Sprintf("CPU%d: a check that began after the call returned saw %d, promised is %d", t.cpu, t.value, t.promise))
		return
	}
	m.say("the check is over: %d", int(t.value))
	t.over()
}

// over leaves the check.
func (t *thread) over() {
	t.frame = frame{}
	if t.inSignal {
		t.at = sigLeave
		return
	}
	if t.word.State() != tracking.Kernel {
		t.at = isolated
	}
	t.left--
}

// interrupt pushes the frame of a signal handler.
func (m *model) interrupt(t *thread, a atom) {
	t.outer, t.inSignal, t.calm = t.frame, true, false
	if a.op == opKill {
		t.kills--
		t.frame = frame{at: trap, site: t.outer.site, sent: true}
		m.say("gets a SIGTRAP from kill(2)")
		return
	}
	t.signals--
	t.frame = frame{at: sigEnter}
	m.say("gets a signal in " + placeNames[t.outer.at])
}
