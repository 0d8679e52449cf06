package reserve

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Reservation is CPUs that are kept for threads of the caller. [New] makes it.
type Reservation struct {
	g    *registry
	cpus CPUs
	mine func(tid int) bool
}

// registry is the reservations of a process. Its lock is held through every change of
// masks, so a thread that pins itself is never looked at halfway.
type registry struct {
	mu     sync.Mutex
	sys    kernel
	active []*Reservation
	ledger
	pins map[thread]pin
}

func newRegistry(sys kernel) *registry {
	return &registry{sys: sys, ledger: newLedger(), pins: map[thread]pin{}}
}

var process = newRegistry(system{})

// New moves every thread of the process off the CPUs, but those for which mine is
// true. It returns when two looks in a row found none to move. If it fails, the
// threads have the masks that they had.
//
// mine may be nil. It is called with a lock held that New, Sweep, Release, Pin and
// Restore all take, so it must not wait for a thread that may be in one of them. It has to be true
// for a thread from before its Pin until after its Restore.
func New(cpus CPUs, mine func(tid int) bool) (*Reservation, error) {
	return process.reserve(cpus, mine)
}

// CPUs returns what is reserved.
func (r *Reservation) CPUs() CPUs { return slices.Clone(r.cpus) }

// Sweep looks once more: threads that may run on the CPUs again are moved off. It
// returns them as they were. One that may run on reserved CPUs only, as the child of an
// isolated thread, gets the CPUs of all threads together that are not reserved. After
// Release there is nothing to do.
func (r *Reservation) Sweep() (moved []Task, err error) {
	if r.g == nil {
		return nil, nil
	}
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	return r.g.sweep(r)
}

// Settle is Sweep until nobody has to be moved any more: a thread that one of those that are moved makes
// meanwhile may run on the CPUs, too.
func (r *Reservation) Settle() error {
	if r.g == nil {
		return nil
	}
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	return r.g.settle(func() (int, error) {
		moved, err := r.g.sweep(r)
		return len(moved), err
	})
}

// Release gives the CPUs back. Each thread gets those that New or Sweep took from it;
// one that was born since, those that were taken from threads with the same mask as it has,
// because it has it from one of them. Neither gets a CPU of another reservation, and a
// thread whose mask somebody else has changed keeps that. Threads for which mine is true are left
// alone: Restore gives them what they would have by then. Called again, it does nothing,
// unless it failed before: then it tries again.
func (r *Reservation) Release() error {
	if r.g == nil {
		return nil
	}
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	return r.g.giveBack(r)
}

func (g *registry) reserve(cpus CPUs, mine func(int) bool) (*Reservation, error) {
	cpus, err := sorted(cpus)
	if err != nil {
		return nil, err
	}
	if mine == nil {
		mine = func(int) bool { return false }
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.admit(cpus); err != nil {
		return nil, err
	}
	r := &Reservation{g: g, cpus: cpus, mine: mine}
	g.active = append(g.active, r)
	if err := g.settle(func() (int, error) { return g.clear(r) }); err != nil {
		return nil, errors.Join(fmt.Errorf("CPUs %s cannot be reserved: %w", cpus, err), g.undo(r))
	}
	return r, nil
}

// admit checks what can be known without a look at threads.
func (g *registry) admit(cpus CPUs) error {
	if len(cpus) == 0 {
		return errors.New("no CPUs to reserve: expected at least one")
	}
	for _, r := range g.active {
		if shared := r.cpus.both(cpus); len(shared) > 0 {
			return fmt.Errorf("CPUs %s cannot be reserved: %s is in the reservation of %s already; release that first", cpus, shared, r.cpus)
		}
	}
	online, err := g.sys.online()
	if err != nil {
		return fmt.Errorf("CPUs %s cannot be reserved: which CPUs are online is not known: %w", cpus, err)
	}
	if off := cpus.minus(online); len(off) > 0 {
		return fmt.Errorf("CPUs %s cannot be reserved: %s is not online (online: %s)", cpus, off, online)
	}
	return nil
}

// reserved returns the CPUs of all reservations.
func (g *registry) reserved() CPUs {
	var c CPUs
	for _, r := range g.active {
		c = c.plus(r.cpus)
	}
	return c
}

// settle repeats a look until it has moved nothing twice in a row.
func (g *registry) settle(look func() (moved int, err error)) error {
	quiet := 0
	for range looksMax {
		moved, err := look()
		if err != nil {
			return err
		}
		if quiet++; moved > 0 {
			quiet = 0
		}
		if quiet == 2 {
			return nil
		}
		g.sys.wait()
	}
	return fmt.Errorf("after %d looks there are still threads to move: something makes them, or sets their masks, all the time", looksMax)
}

// move is a thread with the mask that it shall have, and the one that it would have without
// reservations.
type move struct {
	task
	home, want CPUs
}

// clear looks at all threads and moves those off that are not r's. It moves none if one
// would be left without a CPU.
func (g *registry) clear(r *Reservation) (int, error) {
	found, err := g.sys.threads(nil)
	if err != nil {
		return 0, err
	}
	g.forget(found)
	reserved := g.reserved()
	var moves []move
	var stuck []Task
	for _, t := range found {
		if r.mine(t.TID) {
			continue
		}
		home := g.home(t.thread(), t.CPUs)
		g.note(t.thread(), home, t.CPUs)
		if !t.CPUs.overlaps(r.cpus) {
			continue
		}
		m := move{t, home, t.CPUs.minus(reserved)}
		if moves = append(moves, m); len(m.want) == 0 {
			stuck = append(stuck, t.Task)
		}
	}
	if len(stuck) > 0 {
		return 0, fmt.Errorf("%s may run on reserved CPUs only and would have none left: %s; give it another CPU first (taskset -cp LIST TID), or reserve fewer",
			count(len(stuck), "thread"), some(stuck))
	}
	moved, err := g.apply(moves)
	return len(moved), err
}

// apply sets masks. It tries all, and returns the threads as they were and the first error.
func (g *registry) apply(moves []move) (moved []Task, err error) {
	failed := 0
	for _, m := range moves {
		switch e := g.sys.set(m.TID, m.want); {
		case errors.Is(e, errGone):
			continue
		case e != nil:
			if failed++; failed == 1 {
				err = fmt.Errorf("thread %s, to CPUs %s: %w", m.Task, m.want, e)
			}
			continue
		}
		g.note(m.thread(), m.home, m.want)
		moved = append(moved, m.Task)
	}
	if failed > 1 {
		err = fmt.Errorf("%w (and %d more like that)", err, failed-1)
	}
	return moved, err
}

func (g *registry) sweep(r *Reservation) ([]Task, error) {
	if !slices.Contains(g.active, r) {
		return nil, nil
	}
	found, err := g.sys.threads(r.cpus.overlaps)
	if err != nil {
		return nil, err
	}
	var moves []move
	for _, t := range found {
		if r.mine(t.TID) {
			continue
		}
		home := g.home(t.thread(), t.CPUs)
		want := t.CPUs.minus(g.reserved())
		if len(want) == 0 {
			home = g.widest()
			want = home.minus(g.reserved())
		}
		moves = append(moves, move{t, home, want})
	}
	return g.apply(moves)
}

func (g *registry) giveBack(r *Reservation) error {
	if !slices.Contains(g.active, r) {
		return nil
	}
	if err := g.settle(func() (int, error) { return g.giveBackOnce(r) }); err != nil {
		return fmt.Errorf("release of CPUs %s: %w", r.cpus, err)
	}
	g.drop(r)
	return nil
}

func (g *registry) giveBackOnce(r *Reservation) (int, error) {
	found, err := g.sys.threads(nil)
	if err != nil {
		return 0, err
	}
	var moves []move
	for _, t := range found {
		home := g.home(t.thread(), t.CPUs)
		want := t.CPUs.plus(home.both(r.cpus))
		if slices.Equal(want, t.CPUs) || r.mine(t.TID) {
			continue
		}
		moves = append(moves, move{t, home, want})
	}
	moved, err := g.apply(moves)
	return len(moved), err
}

// undo gives back after a failure. Where threads cannot even be listed any more, for want of
// a file descriptor, the ledger has those that were moved.
func (g *registry) undo(r *Reservation) error {
	defer g.drop(r)
	err := g.giveBack(r)
	if err == nil {
		return nil
	}
	var moves []move
	for t, e := range g.threads {
		m := move{task{Task: Task{TID: t.tid, CPUs: e.set}, start: t.start}, e.home, e.set.plus(e.home.both(r.cpus))}
		if !slices.Equal(m.want, e.set) {
			moves = append(moves, m)
		}
	}
	_, failed := g.apply(moves)
	if failed == nil {
		return nil
	}
	return fmt.Errorf("not all threads got their CPUs back: %w", errors.Join(err, failed))
}

// drop ends a reservation. Without any, what the ledger says is past.
func (g *registry) drop(r *Reservation) {
	g.active = slices.DeleteFunc(g.active, func(o *Reservation) bool { return o == r })
	if len(g.active) == 0 {
		g.ledger = newLedger()
	}
}
