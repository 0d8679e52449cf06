package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/site"
	"github.com/quietpatch/quietpatch/internal/text"
)

// Indirect is an indirect call of a program built with -spectre=ret: a direct call of
// a thunk, with the callee's address in a register. It may be led to a stub.
type Indirect struct {
	site  Site // orig is the call of the thunk
	fn    string
	thunk uint64
	reg   uint8
	stub  uintptr // where it goes, 0: the thunk
}

// Addr returns the address of the call.
func (c *Indirect) Addr() uint64 { return uint64(c.site.addr) }

// Func returns the name of the function that holds the call.
func (c *Indirect) Func() string { return c.fn }

// Thunk returns the address of the thunk and the hardware number of its register.
func (c *Indirect) Thunk() (uint64, uint8) { return c.thunk, c.reg }

// ErrNoThunks: the program was built without retpolines.
var ErrNoThunks = errors.New("no retpolines in this program")

// Indirects finds the indirect calls by way of thunks in the functions that pick
// wants. It patches nothing. Later calls add to what was found: a call is found once.
func (e *Engine) Indirects(pick func(fn string) bool) ([]*Indirect, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.loadImage(); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := e.img.Read(); err != nil {
		return nil, fmt.Errorf("the text could not be searched for calls: %w", err)
	}
	defer e.img.Release()
	thunks := site.Thunks(e.img)
	if len(thunks) == 0 {
		return nil, fmt.Errorf("%w: build it with go build -gcflags=all=-spectre=ret", ErrNoThunks)
	}
	addrs := make([]uint64, len(thunks))
	for i, t := range thunks {
		addrs[i] = t.Addr
	}
	var out, fresh []*Indirect
	for _, s := range site.FindCalls(e.img, addrs, pick) {
		if !s.Patchable() {
			continue
		}
		c := e.indirectAt(uintptr(s.Addr))
		if c == nil {
			c = &Indirect{site: e.newSite(&s), fn: s.Func, thunk: thunks[s.Key].Addr, reg: thunks[s.Key].Reg}
			fresh = append(fresh, c)
		}
		out = append(out, c)
	}
	e.indirects = append(e.indirects, fresh...)
	slices.SortFunc(e.indirects, func(a, b *Indirect) int { return cmp.Compare(a.site.addr, b.site.addr) })
	for _, s := range e.img.Text() {
		e.searched.TextBytes += len(s.Bytes)
	}
	e.searched.NS += time.Since(start).Nanoseconds()
	return out, nil
}

// InText reports whether addr lies in the text of the executable, so that it can be
// reached from stubs.
func (e *Engine) InText(addr uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loadImage() != nil {
		return false
	}
	return e.img.InText(uintptr(addr))
}

// indirectAt returns the call that the byte at addr belongs to.
func (e *Engine) indirectAt(addr uintptr) *Indirect {
	i, found := slices.BinarySearchFunc(e.indirects, addr, func(c *Indirect, a uintptr) int { return cmp.Compare(c.site.addr, a) })
	if !found {
		i--
	}
	if i < 0 || !e.indirects[i].site.covers(addr) {
		return nil
	}
	return e.indirects[i]
}

// code returns the bytes of the call when it leads to the stub, or to its thunk.
func (c *Indirect) code(stub uintptr) insn.Code {
	if stub != 0 {
		if code, err := insn.ArmedCall(c.site.form, uint64(c.site.addr), insn.Callee{Entry: uint64(stub)}); err == nil {
			return code
		}
	}
	return c.site.orig
}

// Redirect leads one call to a new stub of Size bytes at most, which Code makes for the
// address where it will stand; without Code, back to its thunk.
type Redirect struct {
	Call *Indirect
	Size int
	Code func(at uint64) ([]byte, error)
}

// Redirected says what came of a batch.
type Redirected struct {
	// Refused are calls that somebody else has changed. They stay as they are from
	// then on.
	Refused []*Indirect
	// Unmade are calls for which no stub could be made, or that could not be written; Why
	// is the last reason. They are as they were.
	Unmade []*Indirect
	Why    error
}

// ErrRestored: calls were led back to their thunks meanwhile; see [Engine.Restores].
var ErrRestored = errors.New("calls were restored")

// Redirect carries out all redirects in one batch, but for those that it returns. On an
// error nothing has changed, but as the error says. Stubs that nothing leads to any more
// are freed after a grace period. known is what Restores returned when the list was
// made: if that has changed the list rests on calls that have moved, and nothing is done.
func (e *Engine) Redirect(list []Redirect, known uint64) (out Redirected, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.restores != known {
		return out, ErrRestored
	}
	if err := e.recoverLocked(); err != nil {
		return out, err
	}
	if e.off != "" {
		return out, fmt.Errorf("%w: %s", errNotReady, e.off)
	}
	if err := e.bringUp(); err != nil {
		return out, err
	}
	e.clear()
	stubs, err := e.redirectPokes(list, &out)
	if err == nil {
		err = e.syncStubs()
	}
	if err != nil {
		for _, at := range stubs {
			if at != 0 {
				e.freeStub(at) // nothing has ever led there
			}
		}
		e.clear()
		return out, err
	}
	report := e.watchCalls(len(e.pokes))
	done, failed, err := e.redirectLocked()
	report(err)
	if len(done) > 0 {
		e.count.Batches++
	}
	for i, r := range list {
		if r.Call.site.state == Refused {
			out.Refused = append(out.Refused, r.Call)
		}
		gone := stubs[i]
		switch why := failed[&r.Call.site]; {
		case done[&r.Call.site]:
			gone, r.Call.stub = r.Call.stub, stubs[i]
		case why != nil:
			out.Unmade, out.Why = append(out.Unmade, r.Call), why
		}
		e.leave(gone, nil)
	}
	e.clear()
	e.freeLeft()
	e.hurry()
	return out, err
}

// redirectPokes makes the stubs and describes the batch. It returns the stubs in the
// order of the list, 0 for none.
func (e *Engine) redirectPokes(list []Redirect, out *Redirected) ([]uintptr, error) {
	stubs := make([]uintptr, len(list))
	for i, r := range list {
		if r.Call.site.state == Refused {
			continue
		}
		if r.Code != nil {
			at, err := e.makeStub(r.Size, r.Code)
			if err != nil {
				out.Unmade = append(out.Unmade, r.Call)
				out.Why = fmt.Errorf("%s: the call at %#x: %w", r.Call.fn, r.Call.site.addr, err)
				continue
			}
			stubs[i] = at
		}
		if old, new := r.Call.code(r.Call.stub), r.Call.code(stubs[i]); old != new {
			e.pokes = append(e.pokes, poke{site: &r.Call.site, old: old, new: new})
		}
	}
	e.sortPokes()
	for i := 1; i < len(e.pokes); i++ {
		if e.pokes[i].site == e.pokes[i-1].site {
			return stubs, fmt.Errorf("the call at %#x is to be redirected twice in one batch: give each call one redirect", e.pokes[i].site.addr)
		}
	}
	return stubs, nil
}

// redirectLocked writes the pokes, but for those that turn out to be somebody else's,
// which are refused, and those that cannot be written. It returns the sites that lead
// where they shall, and why others could not be written.
func (e *Engine) redirectLocked() (done map[*Site]bool, failed map[*Site]error, err error) {
	done, failed = map[*Site]bool{}, map[*Site]error{}
	e.dropUnprepared(failed)
	out := e.redirectBatch(done)
	switch {
	case out.Err == nil:
		return done, failed, nil
	case !worthRetry(out):
		return nil, failed, e.failure(out)
	}
	e.count.Fallbacks++
	e.redirectHalves(slices.Clone(e.pokes), e.failure(out), done, failed)
	return done, failed, nil
}

// redirectBatch tries all pokes in one batch.
func (e *Engine) redirectBatch(done map[*Site]bool) protocol.Outcome {
	for len(e.pokes) > 0 {
		strategy := e.strategy
		if strategy == protocol.Store && !e.storable() {
			strategy = protocol.Int3
		}
		out := e.runLocked(strategy, false)
		var foreign *text.MismatchError
		switch {
		case out.Err == nil:
			for i := range e.pokes {
				done[e.pokes[i].site] = true
			}
			return out
		case out.Step == protocol.StepCheck && out.Site >= 0 && errors.As(out.Err, &foreign):
			s := e.pokes[out.Site].site
			s.state, s.again, s.why = Refused, true, e.reasonNumber("could not be redirected: "+out.Err.Error())
			e.pokes = slices.Delete(e.pokes, out.Site, out.Site+1)
		default:
			return out
		}
	}
	return protocol.Outcome{}
}

// redirectHalves is for a batch in which some write fails: each half is tried, and what
// fails is halved again, down to the sites that cannot be written. Behind one that is
// stuck all others fail, too.
func (e *Engine) redirectHalves(pokes []poke, why error, done map[*Site]bool, failed map[*Site]error) {
	if len(pokes) == 1 {
		failed[pokes[0].site] = why
		return
	}
	for _, half := range [][]poke{pokes[:len(pokes)/2], pokes[len(pokes)/2:]} {
		e.pokes = append(e.pokes[:0], half...)
		if out := e.redirectBatch(done); out.Err != nil {
			e.redirectHalves(slices.Clone(e.pokes), e.failure(out), done, failed)
		}
	}
}

// dropUnprepared leaves out the sites whose page cannot be written.
func (e *Engine) dropUnprepared(failed map[*Site]error) {
	if len(e.pokes) == 0 || e.m.Prepare(e.addrs()) == nil {
		return
	}
	e.pokes = slices.DeleteFunc(e.pokes, func(p poke) bool {
		err := e.m.Prepare([]uintptr{p.site.addr})
		if err != nil {
			failed[p.site] = err
		}
		return err != nil
	})
}

// Restores returns how often indirect calls have been led back to their thunks, all
// at once, without their owner (Disarm, a change of backends).
func (e *Engine) Restores() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.restores
}

// restoreIndirects queues the way back to their thunks of all calls that were led
// elsewhere.
func (e *Engine) restoreIndirects() {
	for _, c := range e.indirects {
		if old := c.code(c.stub); old != c.site.orig {
			e.pokes = append(e.pokes, poke{site: &c.site, old: old, new: c.site.orig})
		}
	}
}

// indirectsRestored: they are back.
func (e *Engine) indirectsRestored() {
	for _, c := range e.indirects {
		e.leave(c.stub, nil)
		c.stub = 0
	}
	e.restores++
	e.freeLeft()
}
