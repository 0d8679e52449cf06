package engine

import (
	"fmt"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/site"
)

// Counters count what the engine has done since the program started.
type Counters struct {
	Batches     uint64 `json:"batches"`      // calls that changed at least one key
	Syncs       uint64 `json:"syncs"`        // cross-CPU syncs
	Pokes       uint64 `json:"pokes"`        // writes to text
	Fallbacks   uint64 `json:"fallbacks"`    // batches that failed and were tried one site at a time
	GraceStops  uint64 `json:"grace_stops"`  // stops of the world to free stubs
	GraceVisits uint64 `json:"grace_visits"` // looks at all threads instead, where isolated ones run
	// What the trap handler saw.
	TrapHits    uint64 `json:"trap_hits"`    // threads that ran into a trap byte and went on
	TrapLate    uint64 `json:"trap_late"`    // of batches that were over by then
	TrapRetried uint64 `json:"trap_retried"` // executed again while the vector changed
	TrapForeign uint64 `json:"trap_foreign"` // somebody else's, handed on
}

// Modes.
const (
	ModeLive   = "live"   // text is patched
	ModeMemory = "memory" // keys are read from memory
)

// Status is the state of the engine.
type Status struct {
	Mode   string `json:"mode"`   // live or memory
	Reason string `json:"reason"` // why it is memory; "" when live
	// NotArmed is why the last attempt to arm sites was put off, such as a
	// tracer; "" when it was not. It is tried again when a key is next set.
	NotArmed  string    `json:"not_armed"`
	Strategy  string    `json:"strategy"`
	Backend   string    `json:"backend"`
	Assurance string    `json:"assurance"` // what the strategy stands on, on this CPU
	Keys      int       `json:"keys"`      // registered, or found in the text when they were set
	Sites     int       `json:"sites"`     // found so far
	Armed     int       `json:"armed"`     // hold their value as an immediate
	Search    Search    `json:"search"`
	Stubs     Stubs     `json:"stubs"`
	Isolation Isolation `json:"isolation"`
	Unsynced  bool      `json:"unsynced"` // changes without waiting or a failed sync, and no sync since: a CPU may act on bytes that are gone
	Counters  Counters  `json:"counters"`
	// Problems are mistakes of use that were survived: a name taken twice, a
	// key on the heap or copied, a wrong environment variable.
	Problems []string `json:"problems"`
}

// Stubs is the code that was made for calls: of closures, and of indirect calls.
type Stubs struct {
	Stubs          int `json:"stubs"`
	Waiting        int `json:"waiting"`         // of these, left by all calls, and not yet freed
	InUseBytes     int `json:"in_use_bytes"`    // of memory
	CommittedBytes int `json:"committed_bytes"` // of memory, used or not
	Redirected     int `json:"redirected"`      // indirect calls that lead to stubs
}

// stubsLocked fills it in.
func (e *Engine) stubsLocked() Stubs {
	s := Stubs{Waiting: e.leaving}
	if e.stubs != nil {
		m := e.stubs.Stats()
		s.Stubs, s.InUseBytes, s.CommittedBytes = m.Blocks, int(m.InUseBytes), int(m.CommittedBytes)
	}
	for _, c := range e.indirects {
		if c.stub != 0 {
			s.Redirected++
		}
	}
	return s
}

// Search is what looking for sites has cost so far, all searches together.
type Search struct {
	Keys       int   `json:"keys"`
	Sites      int   `json:"sites"`
	TextBytes  int   `json:"text_bytes"` // searched, counted again for each search
	NS         int64 `json:"ns"`
	TableBytes int   `json:"table_bytes"` // memory that sites take now
}

// Status returns the state. It never patches and never brings the machine up.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{Mode: ModeMemory, Backend: BackendNone, Keys: len(e.keys), Counters: e.count}
	for _, k := range e.keys {
		s.Sites += len(k.sites) + k.forgotten
		s.Armed += k.armed
	}
	if e.later != nil && e.mErr == nil {
		s.NotArmed = e.later.Error()
	}
	s.Reason = e.reason(s.Armed)
	if s.Reason == "" {
		s.Mode = ModeLive
	}
	if e.m != nil {
		s.Backend = e.m.Backend()
		s.Strategy = e.strategy.String()
		s.Assurance = assurance(e.strategy, e.vendor)
		if deferral.Any() && e.whyUnspared() == "" {
			s.Assurance = assurePerCPU // of every sync, as long as threads are isolated
		}
		t := e.m.Traps()
		s.Counters.TrapHits, s.Counters.TrapLate = t.Hits, t.Late
		s.Counters.TrapRetried, s.Counters.TrapForeign = t.Retried, t.Foreign
	}
	s.Stubs = e.stubsLocked()
	s.Isolation = e.isolationLocked()
	s.Unsynced, s.Search = e.soon || e.owed != nil, e.searched
	for _, k := range e.keys {
		s.Search.TableBytes += cap(k.sites) * int(unsafe.Sizeof(Site{}))
	}
	s.Problems = append(append([]string{}, e.problems...), e.unusedRules()...)
	if _, problem := deferral.CounterBits(); problem != "" {
		s.Problems = append(s.Problems, problem)
	}
	if e.dropped > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("and %d more", e.dropped))
	}
	return s
}

// reason says why keys are read from memory, "" if they are not.
func (e *Engine) reason(armed int) string {
	switch {
	case e.off != "":
		return e.off
	case e.mErr != nil:
		return e.mErr.Error()
	case e.stuck != nil:
		return e.stuck.err.Error()
	case e.later != nil && armed == 0:
		return e.later.Error()
	case e.m == nil && e.img != nil:
		return "nothing is armed: text is patched at the next Set, or by quietpatch.Arm"
	case e.m == nil:
		return "no key was set yet: text is patched at the first Set, or by quietpatch.Arm"
	}
	return ""
}

// SiteInfo describes one site to users.
type SiteInfo struct {
	Func  string `json:"func"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	Addr  uint64 `json:"addr"`
	Form  string `json:"form"`
	State string `json:"state"` // armed or memory
	Why   string `json:"why"`   // why it stays memory, "" otherwise
}

// Sites returns the sites of a key, sorted by address, without arming them.
func (e *Engine) Sites(k *Key) ([]SiteInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k = e.known(k)
	if err := e.search([]*Key{k}); err != nil {
		return nil, err
	}
	if k.plain != "" {
		return nil, fmt.Errorf("%w: %s: %s", ErrPlain, k.label(), k.plain)
	}
	return e.siteInfos(k), nil
}

func (e *Engine) siteInfos(k *Key) []SiteInfo {
	infos := make([]SiteInfo, 0, len(k.sites))
	for j := range k.sites {
		s := &k.sites[j]
		i := SiteInfo{Addr: uint64(s.addr), Form: s.form.String(), State: s.state.String(), Why: e.whyOf(k, s)}
		if i.Why != "" {
			i.State = Memory.String()
		}
		i.Func, i.File, i.Line = e.img.Place(i.Addr, site.OurFrame)
		infos = append(infos, i)
	}
	return infos
}

// KeyInfo describes one key to users.
type KeyInfo struct {
	Name  string `json:"name"`
	Desc  string `json:"desc"`
	Value int64  `json:"value"`
	Text  string `json:"text"` // the value as people write it
	Seal  bool   `json:"sealed"`
	Sites int    `json:"sites"` // found so far: 0 until the key is first set
	Armed int    `json:"armed"`
	Plain string `json:"plain"` // why the key is an ordinary byte, "" otherwise
}

// Keys returns every key that has a name, in the order of registration.
func (e *Engine) Keys() []KeyInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	infos := make([]KeyInfo, 0, len(e.keys))
	for _, k := range e.keys {
		if k.name != "" && k.callees == nil {
			infos = append(infos, k.info())
		}
	}
	return infos
}

func (k *Key) info() KeyInfo {
	v := k.cell.Load()
	return KeyInfo{
		Name: k.name, Desc: k.desc, Value: v, Text: k.text(v), Seal: k.seal == sealed,
		Sites: len(k.sites) + k.forgotten, Armed: k.armed, Plain: k.plain,
	}
}

// CallInfo describes one static call to users.
type CallInfo struct {
	Name   string `json:"name"`
	Desc   string `json:"desc"`
	Target string `json:"target"` // the function that is called now
	Sites  int    `json:"sites"`  // found so far: 0 until the first update
	Armed  int    `json:"armed"`
	Plain  string `json:"plain"` // why it is an ordinary variable, "" otherwise
}

// Calls returns every static call that has a name, in the order of registration.
func (e *Engine) Calls() []CallInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	infos := []CallInfo{}
	for _, k := range e.keys {
		if k.name != "" && k.callees != nil {
			i := k.info()
			infos = append(infos, CallInfo{Name: i.Name, Desc: i.Desc, Target: i.Text, Sites: i.Sites, Armed: i.Armed, Plain: i.Plain})
		}
	}
	return infos
}
