package visit

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long a round may take. Nobody is in a hurry for stubs, and the engine
	// waits.
	patience = 100 * time.Millisecond
	// looksMin is how many times a round looks, even if a thousand threads take all that
	// time: those that run are asked behind the second.
	looksMin = 4
	// From look to look a round waits twice as long.
	waitMin = 50 * time.Microsecond
	waitMax = 5 * time.Millisecond
)

// one round at a time: there is one question.
var one sync.Mutex

// round is one look at all threads.
type round struct {
	*Scene
	looker
	handlers []handler
	pending  []int // not yet seen outside
	busy     []int // of these, seen running by the last look
	ask      []int // by the last two
}

// Round looks at every thread of the process. If it returns nil, each of them has been in
// no stub at some time since the call, or has ended. Nothing may lead to the stubs in
// question any more, on any CPU, when it is called.
func Round(sc Scene) error {
	one.Lock()
	defer one.Unlock()
	defer withdraw()
	r := &round{Scene: &sc}
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.until(time.Now()); err != nil {
		return err
	}
	return r.unchanged()
}

// unchanged makes sure that what the round went by was so until its end: the handlers, and that
// /proc tells of threads at all.
func (r *round) unchanged() error {
	now, err := handlersNow()
	if err != nil {
		return err
	}
	if !slices.Equal(now, r.handlers) {
		return fmt.Errorf("%w: handlers of signals were changed meanwhile", ErrUnseen)
	}
	runtime.LockOSThread() // a thread that this goroutine has left may end
	defer runtime.UnlockOSThread()
	if k, _, err := r.look(unix.Gettid()); err != nil || k == gone {
		return fmt.Errorf("%w: /proc does not know this thread any more (chroot?): %v", ErrUnable, err)
	}
	return nil
}

// until looks until nobody is pending, or it has taken too long.
func (r *round) until(start time.Time) error {
	for looks, wait := 1, waitMin; ; looks, wait = looks+1, min(2*wait, waitMax) {
		if err := r.lookAround(); err != nil || len(r.pending) == 0 {
			return err
		}
		if looks >= looksMin && time.Since(start) > patience {
			return r.unseen()
		}
		if err := r.askAround(wait); err != nil {
			return err
		}
	}
}

func (r *round) begin() error {
	if err := sameNamespace(); err != nil {
		return err
	}
	if err := install(); err != nil {
		return err
	}
	var err error
	if r.handlers, err = handlersNow(); err != nil {
		return err
	}
	if r.pending, err = threads(); err != nil {
		return err
	}
	// Whatever thread this is now, it is here.
	self := unix.Gettid()
	r.pending = slices.DeleteFunc(r.pending, func(tid int) bool { return tid == self })
	return nil
}

// lookAround looks at all threads that are pending, without disturbing them. A thread
// that runs at two looks is to be asked: one that is about to wait need not be woken.
func (r *round) lookAround() error {
	var busy []int
	var failure error
	r.ask = r.ask[:0]
	r.pending = slices.DeleteFunc(r.pending, func(tid int) bool {
		isolated, passed := r.Isolated(tid)
		if passed || failure != nil {
			return passed
		}
		k, s, err := r.look(tid)
		switch {
		case err != nil:
			failure = fmt.Errorf("%w: %w", ErrUnable, err)
			return false
		case k == runs && !isolated:
			if slices.Contains(r.busy, tid) {
				r.ask = append(r.ask, tid)
			}
			busy = append(busy, tid)
		case k == waits:
			return outside(s, r.Scene, r.handlers)
		}
		return k == gone
	})
	r.busy = busy
	return failure
}

// askAround asks the threads that run, and waits a while, for answers or else for them to
// move on.
func (r *round) askAround(wait time.Duration) error {
	if len(r.ask) > slotsMax {
		r.ask = r.ask[:slotsMax]
	}
	if len(r.ask) == 0 {
		pause(wait)
		return nil
	}
	number := put(r.ask, r.Scene, r.handlers)
	for _, tid := range r.ask {
		var err error
		r.Ordinary(tid, func() { err = send(tid) })
		if err != nil {
			return err
		}
	}
	for start := time.Now(); ; pause(waitMin) {
		r.collect(number)
		if len(r.pending) == 0 || !slices.ContainsFunc(r.ask, r.isPending) || time.Since(start) > wait {
			return nil
		}
	}
}

func (r *round) isPending(tid int) bool { return slices.Contains(r.pending, tid) }

// collect takes the threads that have answered out of those that are pending.
func (r *round) collect(number uint64) {
	for i, tid := range r.ask {
		if answered(i, number) {
			r.pending = slices.DeleteFunc(r.pending, func(p int) bool { return p == tid })
		}
	}
}

// pause leaves the CPU for a while. It is no time.Sleep, which takes a millisecond at
// least where nothing else wakes the scheduler.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}

// unseen names the threads that were not seen outside.
func (r *round) unseen() error {
	const shown = 8
	var names []string
	for _, tid := range r.pending[:min(shown, len(r.pending))] {
		comm, _ := os.ReadFile(fmt.Sprintf("%s/%d/comm", taskDir, tid))
		names = append(names, fmt.Sprintf("%d (%q)", tid, trimmed(comm)))
	}
	return fmt.Errorf("%w: %d within %v, among them %v: they run in stubs, block SIGURG, are stopped, or are isolated ones that were busy in KERNEL "+
		"all the time; let these go back to their loops now and then", ErrUnseen, len(r.pending), patience, names)
}

func trimmed(b []byte) string {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return string(b)
}
