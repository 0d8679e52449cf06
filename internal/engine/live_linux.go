//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/self"
	"github.com/quietpatch/quietpatch/internal/text"
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
	lo, hi uintptr
}

// Compile-time check: production offers all that the engine asks for.
var _ machine = (*live)(nil)

// openMachine gets everything ready and proves it on this machine before the
// first site is touched: the sync, the trap handler by one real trap, the
// backend by a real poke of a function of ours.
func openMachine(img image, o Options) (machine, error) {
	lo, hi := img.(*self.Image).Range()
	if err := barrier.Register(); err != nil {
		return nil, err
	}
	if err := untraced(o.AllowTracer); err != nil {
		return nil, &laterError{err}
	}
	if err := trap.Install(lo, hi); err != nil {
		return nil, err
	}
	if err := trap.SelfTest(); err != nil {
		return nil, err
	}
	t, err := openText(o.Backend, lo, hi)
	if err != nil {
		return nil, err
	}
	return &live{text: t, lo: lo, hi: hi}, nil
}

// backends in the order in which they are tried; docs/RATIONALE.md says why.
var backends = []string{text.Procmem, text.Alias}

// openText opens the backend that was asked for, or the first that works.
func openText(want string, lo, hi uintptr) (*text.Text, error) {
	names := backends
	if want != "" {
		names = []string{want}
	}
	var errs []error
	for _, name := range names {
		t, err := text.Open(name, lo, hi)
		if err == nil {
			if err = t.SelfTest(barrier.SyncCore); err == nil {
				return t, nil
			}
			err = errors.Join(err, t.Close())
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
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
	lo, hi := e.img.(*self.Image).Range()
	var works []string
	for _, name := range backends {
		if e.m != nil && e.m.Backend() == name {
			works = append(works, name)
			continue
		}
		t, err := text.Open(name, lo, hi)
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

func (l *live) Prepare(addrs []uintptr) error { return l.text.Prepare(addrs) }

func (l *live) Load(addr uintptr, n int) uint64 { return text.Load(addr, n) }

func (l *live) Poke(addr uintptr, n int, old, new uint64) error {
	return l.text.Poke(addr, n, old, new)
}

// Rescue writes through the backend that is not in use. A half-done site is
// worse than one more mapping.
func (l *live) Rescue(addr uintptr, n int, old, new uint64) error {
	for _, name := range backends {
		if name == l.text.Name() {
			continue
		}
		if l.rescue == nil {
			t, err := text.Open(name, l.lo, l.hi)
			if err != nil {
				return err
			}
			l.rescue = t
		}
		if err := l.rescue.Prepare([]uintptr{addr}); err != nil {
			return err
		}
		return l.rescue.Poke(addr, n, old, new)
	}
	return fmt.Errorf("no other backend than %s", l.text.Name())
}

func (l *live) Sync() error { return barrier.SyncCore() }

func (l *live) Publish(entries []trap.Entry) error { return trap.Publish(entries) }

func (l *live) Retire() { trap.Retire() }

func (l *live) Traps() trap.Counts { return trap.Counters() }

func (l *live) Close() error {
	err := l.text.Close()
	if l.rescue != nil {
		err = errors.Join(err, l.rescue.Close())
	}
	return err
}
