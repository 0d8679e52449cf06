package isolate

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/reserve"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Options say how a thread is isolated.
type Options struct {
	// CPU is where the thread runs. No other thread of the process may be allowed to run
	// there: see [Reserve].
	CPU int
	// BlockSignals blocks the signals that may be blocked on the thread until Run
	// returns: Go's preemption (SIGURG), profiling (SIGPROF), and all that are sent to the
	// process, which its other threads then get. Without it Go stops the thread every
	// 10 ms or so while it runs Go code. With it only calls of Go functions that are not
	// inlined stop the thread ([Thread.Safepoint], [Thread.Kernel], but also time.Now), and it must make
	// some often if the program collects garbage: a collection stops all other goroutines until
	// it does.
	BlockSignals bool
	// DeferIdle spares the thread in [Thread.Idle], too.
	DeferIdle bool
}

// ErrOptions is wrapped by errors about options that make no sense.
var ErrOptions = errors.New("isolate: wrong option")

// ErrShared is wrapped by the error of [Run] when other threads of the process may run on
// the CPU. It lists them.
var ErrShared = errors.New("isolate: the CPU is not the thread's alone")

// threads are the isolated ones, by CPU.
var threads [deferral.CPUsMax]atomic.Pointer[Thread]

// running covers what has to be done for the first isolated thread, and after the last.
// tids are the threads from before they are pinned until after their masks are restored: no
// reservation may move them meanwhile.
var running struct {
	sync.Mutex
	n    int
	tids map[int]bool
}

// keep says whether reservations leave the thread alone.
func keep(tid int, on bool) {
	running.Lock()
	defer running.Unlock()
	if on && running.tids == nil {
		running.tids = map[int]bool{}
	}
	if on {
		running.tids[tid] = true
	} else {
		delete(running.tids, tid)
	}
}

// kept reports whether they do.
func kept(tid int) bool {
	running.Lock()
	defer running.Unlock()
	return running.tids[tid]
}

// Run calls f in isolation: the calling goroutine is locked to its OS thread, the thread
// to the CPU, and it is in USER when f begins. When f returns, panics or ends the
// goroutine, the thread comes back, does what it owes, and may run everywhere again.
//
// The error is not nil, and f was not called, if the thread cannot be isolated: the CPU
// does not exist or belongs to another isolated thread, or other threads may run there (all
// are listed). That nobody can be spared because the kernel cannot sync single CPUs, or
// because text is not patched at all, is no error; [Status] says so.
//
// An isolated thread that runs Go code takes one of GOMAXPROCS for itself. If there are
// not more of these than isolated threads, Run raises GOMAXPROCS, and that stops the world once.
func Run(o Options, f func(t *Thread)) error {
	if f == nil {
		return fmt.Errorf("%w: expected a function to run, found nil", ErrOptions)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := enter(o)
	if err != nil {
		return err
	}
	defer s.leave()
	s.c.Switch(tracking.User)
	f(s.Thread)
	return nil
}

// session is what Run has changed and puts back.
type session struct {
	*Thread
	tid     int
	cpus    reserve.CPUs // where the thread ran before
	unblock func() error
}

// enter does all that comes before isolation. On error nothing has changed.
func enter(o Options) (s *session, err error) {
	s = &session{tid: gettid(), unblock: func() error { return nil }}
	if kept(s.tid) {
		return nil, fmt.Errorf("%w: the goroutine is isolated already: Run within Run", ErrOptions)
	}
	keep(s.tid, true)
	if s.cpus, err = reserve.Pin(o.CPU); err != nil {
		keep(s.tid, false)
		return nil, fmt.Errorf("%w: CPU %d: %w", ErrOptions, o.CPU, err)
	}
	undo := func(err error) (*session, error) {
		err = errors.Join(err, s.unblock(), reserve.Restore(s.cpus))
		keep(s.tid, false)
		return nil, err
	}
	tid := s.tid
	if err := alone(o.CPU, tid); err != nil {
		return undo(err)
	}
	if o.BlockSignals {
		if s.unblock, err = blockSignals(); err != nil {
			s.unblock = func() error { return nil }
			return undo(err)
		}
	}
	c, err := deferral.Register(o.CPU, tid, o.DeferIdle)
	if err != nil {
		return undo(fmt.Errorf("%w: %w", ErrOptions, err))
	}
	s.Thread = &Thread{c: c, deferIdle: o.DeferIdle}
	if err := first(); err != nil {
		c.Unregister()
		return undo(err)
	}
	threads[o.CPU].Store(s.Thread)
	return s, nil
}

// leave brings the thread back from whatever state it is in, first of all.
func (s *session) leave() {
	s.c.Switch(tracking.Kernel)
	threads[s.c.CPU()].Store(nil)
	s.c.Unregister()
	last()
	if err := errors.Join(s.unblock(), reserve.Restore(s.cpus)); err != nil {
		engine.Default.Note("isolate: the thread that was isolated on CPU %d stays as it was there: %v", s.c.CPU(), err)
	}
	keep(s.tid, false)
}

// alone returns an error that names the threads of the process that may run on the CPU,
// besides the calling one.
func alone(cpu, self int) error {
	tasks, err := reserve.Offenders(cpu, self)
	if err != nil {
		return fmt.Errorf("%w: the threads of the process could not be looked at: %w", ErrShared, err)
	}
	if len(tasks) > 0 {
		return fmt.Errorf("%w: %w", ErrShared, &reserve.OffendersError{CPU: cpu, Tasks: tasks})
	}
	return nil
}

// first prepares the process for one more isolated thread.
func first() error {
	running.Lock()
	defer running.Unlock()
	if running.n == 0 {
		if err := tracked.Set(true); err != nil {
			return fmt.Errorf("isolate: the checks for isolated threads could not be switched on: %w", err)
		}
		if possible, err := host.CPUs(); err == nil {
			_ = barrier.RegisterPerCPU(possible) // if not, Status says that nobody is spared
		}
	}
	running.n++
	if procs := runtime.GOMAXPROCS(0); procs <= running.n {
		runtime.GOMAXPROCS(running.n + 1)
	}
	return nil
}

// last is its counterpart.
func last() {
	running.Lock()
	defer running.Unlock()
	running.n--
	if running.n > 0 {
		return
	}
	if err := tracked.Set(false); err != nil {
		engine.Default.Note("isolate: the checks for isolated threads stay on: %v", err)
	}
}

// foreign notes that a Thread was used by a goroutine whose it is not.
func foreign(cpu int) {
	engine.Default.Note("isolate: a method of the Thread of CPU %d was called by another goroutine, or after Run returned: "+
		"it just called its function; use the functions of package isolate, which know on which thread they run", cpu)
}
