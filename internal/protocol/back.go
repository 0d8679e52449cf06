package protocol

// turnBack notes the first failure and decides what has to be put back.
//
// What may have been touched in the chunk, by the step that failed at site k
// (the chunk is [base, end)); t is k, or k+1 if the driver says that site k
// itself may have been written:
//
//	step      live new heads   new tails      trap bytes    scenario
//	0 check   none             none           none
//	1 publish none             none           none
//	2 trap    none             none           [base, t)     U1
//	2s sync   none             none           [base, end)   U1
//	3 tail    none             [base, t)      [base, end)   U2
//	3s sync   none             [base, end)    [base, end)   U2
//	4 head    [base, t)        [base, end)    [k, end)      U3
//	4s sync   [base, end)      [base, end)    none          U3
//	S store   [base, t)        -              -             U4
//	Ss sync   [base, end)      -              -             U4
//
// The scenarios are drawn in docs/PROTOCOL.md.
func (m *Machine) turnBack(r Result) {
	e := m.effect
	k := min(e.From+max(r.Done, 0), e.To)
	t := k
	if r.Touched {
		t = min(k+1, e.To)
	}
	m.out.Err, m.out.Step, m.out.Site = r.Err, e.Step, k
	if e.Step.Sync() || e.Step == StepPublish || e.Step == StepRetire {
		m.out.Site = -1
	}
	m.trapTo, m.tailTo, m.headTo = m.base, m.base, m.base
	switch e.Step {
	case StepCheck:
		m.done = true // nothing was written
		return
	case StepPublish:
		// The vector was not taken; this chunk is untouched.
		m.effect.Dir = Back
		m.finishChunkBack()
		return
	case StepTrap, StepStore:
		m.headTo = t
	case StepTrapSync, StepStoreSync:
		m.headTo = m.end
	case StepTail:
		m.tailTo, m.headTo = t, m.end
	case StepTailSync:
		m.tailTo, m.headTo = m.end, m.end
	case StepHead:
		m.trapTo, m.tailTo, m.headTo = t, m.end, m.end
	case StepHeadSync, StepRetire:
		m.trapTo, m.tailTo, m.headTo = m.end, m.end, m.end
	}
	m.startBack()
}

// startBack enters the way back of the chunk at hand.
func (m *Machine) startBack() {
	m.effect.Dir = Back
	if m.plan.HeadsOnly {
		m.tailTo = m.base
	}
	if m.plan.Strategy == Store {
		if m.headTo == m.base {
			m.finishChunkBack()
			return
		}
		m.goTo(StepStore, m.headTo)
		return
	}
	m.goTo(StepPublish, m.end)
}

// nextBack handles the result of an effect on the way back.
func (m *Machine) nextBack(r Result) {
	if r.Err != nil {
		m.retryBack(r)
		return
	}
	switch m.effect.Step {
	case StepPublish:
		m.afterPublishBack()
	case StepTrap:
		m.goTo(StepTrapSync, m.trapTo)
	case StepTrapSync:
		if m.plan.HeadsOnly {
			m.goTo(StepHead, m.headTo)
		} else {
			m.goTo(StepTail, m.tailTo)
		}
	case StepTail:
		m.goTo(StepTailSync, m.tailTo)
	case StepTailSync:
		m.goTo(StepHead, m.headTo)
	case StepHead:
		m.goTo(StepHeadSync, m.headTo)
	case StepHeadSync:
		m.goTo(StepRetire, m.end)
	case StepStore:
		if m.plan.NoSync {
			m.finishChunkBack()
		} else {
			m.goTo(StepStoreSync, m.headTo)
		}
	case StepRetire, StepStoreSync:
		m.finishChunkBack()
	}
}

// afterPublishBack picks the first step of the way back that has work. A tail
// is never written over a live head, nor an old head over a new one: trapTo > base
// implies that the heads follow, and the tails if there are any.
func (m *Machine) afterPublishBack() {
	switch {
	case m.trapTo > m.base:
		m.goTo(StepTrap, m.trapTo)
	case m.tailTo > m.base:
		m.goTo(StepTail, m.tailTo)
	case m.headTo > m.base:
		m.goTo(StepHead, m.headTo)
	default:
		m.goTo(StepRetire, m.end)
	}
}

// finishChunkBack ends the plan, or goes on to the chunk before, which was
// complete: all of it is live and new.
func (m *Machine) finishChunkBack() {
	if m.base == 0 {
		m.done = true
		return
	}
	m.base, m.end = m.base-m.chunk, m.base
	m.trapTo, m.tailTo, m.headTo = m.end, m.end, m.end
	m.startBack()
}

// retryBack tries a failed effect of the way back again, from the site that
// failed. When it keeps failing the machine stops where it stands: trapped
// sites go on working through the vector, and nothing that is not known to be
// safe is written. The last sync may be missing without harm to any thread,
// since only single bytes changed since the sync before it.
func (m *Machine) retryBack(r Result) {
	e := &m.effect
	if r.Done > 0 { // progress
		e.From = min(e.From+r.Done, e.To)
		m.retries = 0
	}
	m.retries++
	if m.retries <= backRetriesMax {
		return
	}
	if e.Step == StepHeadSync || e.Step == StepStoreSync {
		m.out.Unsynced = true
		m.effect.From = m.base
		m.nextBack(Result{})
		return
	}
	m.done = true
	m.out.Stuck, m.out.StuckErr = true, r.Err
}
