package dyncall

import (
	"cmp"
	"runtime"

	"github.com/quietpatch/quietpatch/internal/learn"
)

// Statistics is what [Stats] returns. Its JSON form is stable.
type Statistics struct {
	Running bool `json:"running"`
	// Calls is how many indirect calls were found; each is in one of the states below.
	Calls     int `json:"calls"`
	New       int `json:"new"`        // not counted yet
	Counting  int `json:"counting"`   // being learned; Promoted has them, too, if they have targets
	Promoted  int `json:"promoted"`   // go directly to their targets
	LeftAlone int `json:"left_alone"` // too many callees
	Cold      int `json:"cold"`       // hardly called when they were counted
	Refused   int `json:"refused"`    // changed by somebody else

	Relearnings uint64 `json:"relearnings"` // changes of a call's targets
	// Hits and Misses are the calls that were counted: only a small part of all.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// Error is why the last batch could not be carried out, in whole or for one call; "" if
	// it was.
	Error string `json:"error"`
}

// Site is one indirect call, as [Sites] returns it.
type Site struct {
	Func        string   `json:"func"`
	File        string   `json:"file"`
	Line        int      `json:"line"`
	Addr        uint64   `json:"addr"`
	State       string   `json:"state"` // new, counting, quiet, left alone, cold, refused
	Targets     []Target `json:"targets"`
	Hits        uint64   `json:"hits"`   // counted calls that went to a target
	Misses      uint64   `json:"misses"` // and that did not
	Relearnings uint64   `json:"relearnings"`
}

// Target is a function that a call was promoted to.
type Target struct {
	Func string `json:"func"`
	Addr uint64 `json:"addr"`
}

// Stats returns sums over all calls.
func Stats() Statistics {
	mu.Lock()
	l := running
	mu.Unlock()
	if l == nil {
		return Statistics{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Statistics{Running: true, Calls: len(l.calls), Relearnings: l.relearns}
	for i := range l.calls {
		p := &l.now[i]
		st := &l.sites[i]
		h, m := st.Counts()
		s.Hits, s.Misses = s.Hits+h, s.Misses+m
		if p.n > 0 {
			s.Promoted++
		}
		switch l.state(i) {
		case stateRefused:
			s.Refused++
		case stateNew:
			s.New++
		case learn.Counting.String():
			s.Counting++
		case learn.LeftAlone.String():
			s.LeftAlone++
		case learn.Cold.String():
			s.Cold++
		}
	}
	if err := cmp.Or(l.err, l.unmade); err != nil {
		s.Error = err.Error()
	}
	return s
}

const (
	stateNew     = "new"
	stateRefused = "refused"
)

func (l *learner) state(i int) string {
	switch p := &l.now[i]; {
	case p.gone:
		return stateRefused
	case !p.seen:
		return stateNew
	}
	return l.sites[i].State().String()
}

// Sites returns every indirect call that was found, sorted by address.
func Sites() []Site {
	mu.Lock()
	l := running
	mu.Unlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Site, 0, len(l.calls))
	for i, c := range l.calls {
		st := l.sites[i].Stats()
		s := Site{
			Func: c.Func(), Addr: c.Addr(), State: l.state(i), Targets: []Target{},
			Hits: st.Hits, Misses: st.Misses, Relearnings: st.Relearnings,
		}
		if f := runtime.FuncForPC(uintptr(s.Addr)); f != nil {
			s.File, s.Line = f.FileLine(uintptr(s.Addr))
		}
		for _, t := range l.now[i].targets[:l.now[i].n] {
			s.Targets = append(s.Targets, Target{name(t), t})
		}
		out = append(out, s)
	}
	return out
}
