//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/self"
	"github.com/quietpatch/quietpatch/internal/text"
	"github.com/quietpatch/quietpatch/internal/tracking"
	"github.com/quietpatch/quietpatch/internal/trap"
)

func vendor() string { return host.Vendor() }

func openImage() (image, error) {
	img, err := self.Load()
	if err != nil {
		return nil, err
	}
	return img, nil
}

// live is the machine that patches this process.
type live struct {
	text   *text.Text
	rescue *text.Text // another backend, opened when the first one fails on the way back
	src    source
	spared []int // by the last sync; its memory is used again
}

// Compile-time check: production offers all that the engine asks for.
var _ machine = (*live)(nil)

// Compile-time check: the trap handler finds the fields of a context.
const (
	_ = -(deferral.WordOffset ^ trap.ContextWord)
	_ = -(deferral.ViolationsOffset ^ trap.ContextViolations)
	_ = -(deferral.ViolatedOffset ^ trap.ContextViolated)
)

// source is the text as the compiler made it, and which of it is ours.
type source struct {
	*self.Image
	ours func(addr uintptr, b byte) bool
}

func (s source) Ours(addr uintptr, b byte) bool { return s.ours(addr, b) }

// openMachine gets everything ready and proves it on this machine before the
// first site is touched: the sync, the trap handler by one real trap, the
// backend by a real poke of a function of ours.
func openMachine(img image, o Options, ours func(uintptr, byte) bool) (machine, error) {
	src := source{img.(*self.Image), ours}
	lo, hi := src.Range()
	if err := barrier.Register(); err != nil {
		return nil, err
	}
	if err := untraced(o.AllowTracer); err != nil {
		return nil, &laterError{err}
	}
	if err := trap.Install(lo, hi); err != nil {
		return nil, err
	}
	trap.Watch(deferral.Contexts())
	if err := trap.SelfTest(); err != nil {
		return nil, err
	}
	t, err := openText(o.Backend, src)
	if err != nil {
		return nil, err
	}
	l := &live{text: t, src: src}
	if t != theAlias && aliasInUse() {
		l.rescue = theAlias // pages that moved earlier are written there
	}
	return l, nil
}

// backends in the order in which they are tried; docs/RATIONALE.md says why.
var backends = []string{text.Procmem, text.Alias}

// openText opens the backend that was asked for, or the first that works.
func openText(want string, src source) (*text.Text, error) {
	names := backends
	if want != "" {
		names = []string{want}
	}
	var errs []error
	for _, name := range names {
		t, err := openNamed(name, src)
		if err == nil {
			if err = t.SelfTest(barrier.SyncCore); err == nil {
				return t, nil
			}
			err = errors.Join(err, closeText(t))
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// theAlias is the one alias of the process: pages that moved into it stay.
var theAlias *text.Text

// aliasInUse reports whether pages of text have moved into the alias.
func aliasInUse() bool { return theAlias != nil && theAlias.Moved() }

// closeText closes t; the alias is forgotten only if no page has moved into it.
func closeText(t *text.Text) error {
	if t == theAlias && !t.Moved() {
		theAlias = nil
	}
	return t.Close()
}

func openNamed(name string, src source) (*text.Text, error) {
	if name == text.Alias && theAlias != nil {
		return theAlias, nil
	}
	lo, hi := src.Range()
	t, err := text.Open(name, lo, hi, src)
	if err == nil && name == text.Alias {
		theAlias = t
	}
	return t, err
}

// Backends returns the backends that work here, each of them tried, without
// moving any text.
func Backends() []string {
	e := Default
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loadImage() != nil || barrier.Register() != nil {
		return nil
	}
	src := source{e.img.(*self.Image), e.ours}
	lo, hi := src.Range()
	var works []string
	for _, name := range backends {
		if e.m != nil && e.m.Backend() == name {
			works = append(works, name)
			continue
		}
		t, err := text.Open(name, lo, hi, src)
		if err != nil {
			continue
		}
		if name == text.Alias || t.SelfTest(barrier.SyncCore) == nil {
			works = append(works, name)
		}
		_ = t.Close()
	}
	return works
}

// untraced refuses while somebody traces the process: a tracer sees every
// SIGTRAP first, and a debugger would stop there.
func untraced(allow bool) error {
	if allow {
		return nil
	}
	pid, err := host.TracerPID()
	if err != nil {
		return fmt.Errorf("expected to learn whether the process is traced: %w (%s=allow skips this)", err, envTracer)
	}
	if pid != 0 {
		return fmt.Errorf("the process is traced by pid %d, which would see every trap first: "+
			"detach it, or allow it (Options.AllowTracer, %s=allow)", pid, envTracer)
	}
	return nil
}

func (l *live) Backend() string { return l.text.Name() }

func (l *live) Ready(allowTracer bool) error {
	if err := untraced(allowTracer); err != nil {
		return err
	}
	return trap.Check()
}

func (l *live) Begin() error {
	if l.rescue != nil {
		if err := l.rescue.Begin(); err != nil && l.rescue.Moved() {
			return err // some pages can be written by it alone
		}
	}
	return l.text.Begin()
}

func (l *live) Prepare(addrs []uintptr) error { return l.text.Prepare(addrs) }

func (l *live) Load(addr uintptr, n int) uint64 { return text.Load(addr, n) }

// Poke writes through the backend in use, except in a page that a rescue has
// moved out of its reach.
func (l *live) Poke(addr uintptr, n int, old, new uint64) error {
	last := addr + uintptr(n) - 1
	if l.rescue == nil || !l.rescue.Holds(addr) && !l.rescue.Holds(last) {
		return l.text.Poke(addr, n, old, new)
	}
	return l.rescuePoke(addr, n, old, new)
}

func (l *live) StoreMax() int {
	if l.rescue != nil {
		return 1
	}
	return l.text.StoreMax()
}

func (l *live) Window() *text.Window {
	if l.rescue != nil {
		return nil // which of the two may write a byte is Poke's business
	}
	return l.text.Window()
}

// rescuePoke moves what of the bytes has not moved yet, and writes.
func (l *live) rescuePoke(addr uintptr, n int, old, new uint64) error {
	if !l.rescue.Holds(addr) || !l.rescue.Holds(addr+uintptr(n)-1) {
		if err := l.rescue.Prepare([]uintptr{addr}); err != nil {
			return err
		}
	}
	return l.rescue.Poke(addr, n, old, new)
}

// Rescue writes through the backend that is not in use. A half-done site is
// worse than one more mapping.
func (l *live) Rescue(addr uintptr, n int, old, new uint64) error {
	name := text.Alias
	if l.text.Name() == text.Alias {
		name = text.Procmem
	}
	if l.rescue == nil {
		t, err := openNamed(name, l.src)
		if err != nil {
			return err
		}
		l.rescue = t
	}
	return l.rescuePoke(addr, n, old, new)
}

// Sync leaves out the CPUs of isolated threads: each has the sync left in its context
// word, behind the writes to text, and makes it up when it comes back.
func (l *live) Sync(everyone bool) error {
	if everyone || !deferral.Any() || !barrier.HavePerCPU() {
		return barrier.SyncCore()
	}
	l.spared = deferral.Defer(tracking.Sync, l.spared[:0])
	if len(l.spared) == 0 {
		return barrier.SyncCore()
	}
	_, err := barrier.SyncExcept(l.spared)
	return err
}

func (l *live) Publish(entries []trap.Entry) error { return trap.Publish(entries) }

func (l *live) Retire() { trap.Retire() }

func (l *live) Traps() trap.Counts { return trap.Counters() }

func (l *live) Close() error {
	err := closeText(l.text)
	if l.rescue != nil {
		err = errors.Join(err, closeText(l.rescue))
	}
	return err
}
