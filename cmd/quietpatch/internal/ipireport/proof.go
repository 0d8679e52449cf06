package ipireport

import (
	"fmt"
	"slices"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

// timeLeast is how long a run must last to prove that something did not happen.
const timeLeast = time.Millisecond

// upper reports whether the comparison says that something is small, or equal, which what was not
// seen can make false.
func (t *term) upper() bool { return t.op == "<" || t.op == "<=" || t.op == "==" || t.op == "!=" }

// unproved says why a comparison that is true of what was seen proves nothing, or returns "". The
// sum is s, of which the comparison looks at n.
func (t *term) unproved(r *Report, s sum, n uint64) string {
	if reason := t.blindCPUs(r); reason != "" {
		return reason
	}
	if t.upper() || t.quantity == rateOf {
		switch {
		case r.Duration <= 0:
			return "no time has passed"
		case r.Duration < timeLeast && t.quantity.ofRows():
			return fmt.Sprintf("only %v were watched, less than %v", r.Duration, timeLeast)
		}
	}
	switch {
	case t.quantity == costOf && s.cost == 0 && s.ipis > 0:
		return "the time in handlers was not measured"
	case r.Incomplete != "" && (t.upper() || t.quantity == rateOf || r.Incomplete != r.short()):
		return "the run is not complete: " + r.Incomplete
	case !t.upper():
		return ""
	case n == saturated:
		return "the sum is too large to be told, so that there may be more"
	case t.quantity.ofRows():
		return t.unseen(r)
	}
	return ""
}

// unseen says what rows may be missing, or returns "".
func (t *term) unseen(r *Report) string {
	switch {
	case r.Lost > 0:
		return fmt.Sprintf("%s lost, so that there may be more", plural(r.Lost, "event")+wasWere(r.Lost))
	case len(t.where) > 0 && r.Folded > 0:
		return "there were too many rows, and some have lost what the conditions look at"
	case r.Meta.watched().Len() == 0:
		return "which CPUs were watched is not known"
	case t.asksFor(r.Offline).Len() > 0:
		return offlineText(t.asksFor(r.Offline))
	}
	for _, b := range r.Meta.Blind {
		if b.Mixed && !t.asksForKinds() && !t.asksForNames() {
			continue
		}
		if t.counts(b.Kinds) || b.Mixed && t.asksForNames() {
			return b.Why
		}
	}
	return ""
}

// blindCPUs says which of the CPUs that the conditions name were not watched, or returns "".
func (t *term) blindCPUs(r *Report) string {
	for i := range t.where {
		if t.where[i].field != "cpu" {
			continue
		}
		watched := r.Meta.watched()
		if watched.Len() == 0 {
			return "which CPUs were watched is not known"
		}
		blind := t.where[i].cpus.AndNot(watched)
		if n := blind.Len(); n > 0 {
			m := Meta{Victims: blind.String()}
			return m.where() + wasWere(uint64(n)) + " not watched"
		}
	}
	return ""
}

// asksFor returns those of the CPUs that the conditions are for.
func (t *term) asksFor(cpus ipi.CPUs) ipi.CPUs {
	for i := range t.where {
		if t.where[i].field == "cpu" {
			cpus = cpus.And(t.where[i].cpus)
		}
	}
	return cpus
}

// counts reports whether rows of one of the kinds can be among those that the conditions are for.
// No kinds are all.
func (t *term) counts(kinds []ipi.Kind) bool {
	if len(kinds) == 0 {
		kinds = ipi.Kinds()
	}
	for i := range t.where {
		if t.where[i].field != "kind" {
			continue
		}
		return slices.ContainsFunc(kinds, func(k ipi.Kind) bool {
			return slices.ContainsFunc(t.where[i].patterns, func(p string) bool { return ipifilter.GlobMatch(p, string(k)) })
		})
	}
	return true
}

// asksForKinds reports whether conditions look at kinds.
func (t *term) asksForKinds() bool {
	return slices.ContainsFunc(t.where, func(c condition) bool { return c.field == "kind" })
}

// asksForNames reports whether conditions look at names of functions.
func (t *term) asksForNames() bool {
	return slices.ContainsFunc(t.where, func(c condition) bool { return c.field == "cause" || c.field == "remedy" || c.field == "path" })
}

// watched returns the CPUs that were watched; none if that is not known.
func (m *Meta) watched() ipi.CPUs {
	if m.Victims == "" || m.CPUs <= 0 || m.CPUs > ipi.CPUsMax {
		return nil
	}
	cpus, err := ipi.ParseCPUs(m.Victims, m.CPUs)
	if err != nil {
		return nil // of a record, so it may be anything
	}
	return cpus
}

// short says that less was seen than should be, or returns "".
func (r *Report) short() string {
	if text := r.ended(); text != "" {
		return text
	}
	return r.stopped()
}

// ended says that the processes that were watched had ended before a run that should go on for longer,
// or returns "".
func (r *Report) ended() string {
	if r.Ended <= 0 || r.Meta.Planned <= 0 {
		return ""
	}
	return r.endedText() + " of " + span(r.Meta.Planned)
}

// endedText is such as "process 12 had ended after 0.6 s", or "".
func (r *Report) endedText() string {
	switch {
	case r.Ended <= 0:
		return ""
	case len(r.Meta.PIDs) == 1:
		return fmt.Sprintf("process %d had ended after %s", r.Meta.PIDs[0], span(r.Ended))
	}
	return fmt.Sprintf("all %d processes had ended after %s", len(r.Meta.PIDs), span(r.Ended))
}

// early is what timers and the last snapshot may be early by, or a hundredth of the plan if that
// is less.
const early = 100 * time.Millisecond

// stopped says that the run has not lasted as long as it should, or returns "".
func (r *Report) stopped() string {
	if r.Duration >= r.Meta.Planned-min(r.Meta.Planned/100, early) {
		return ""
	}
	return "stopped after " + r.progress()
}

// progress is such as "1.5 s of 20.0 s".
func (r *Report) progress() string { return span(r.Duration) + " of " + span(r.Meta.Planned) }
