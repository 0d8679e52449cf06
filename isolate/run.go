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
	// More than once, so that a function which unlocks once too often does not let another
	// goroutine onto the thread.
	for range locks {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	s, err := enter(o)
	if err != nil {
		return err
	}
	defer s.leave()
	s.c.Switch(tracking.User)
	f(s.Thread)
	return nil
}

const locks = 8

// session is what Run has changed and puts back.
type session struct {
	*Thread
	tid     int
	cpus    reserve.CPUs // where the thread ran before
	unblock func() error
}

// places is held while it is decided who may run where: from the look at the other threads'
// affinity until the CPU is the thread's, and while a reservation is released or swept.
var places sync.Mutex

// enter does all that comes before isolation. On error nothing has changed. The context of
// the CPU is claimed first: a thread that goes to a CPU where another one is isolated would
// run there unsynced.
func enter(o Options) (s *session, err error) {
	s = &session{tid: gettid(), unblock: func() error { return nil }}
	if kept(s.tid) {
		return nil, fmt.Errorf("%w: the goroutine is isolated already: Run within Run", ErrOptions)
	}
	c, err := deferral.Register(o.CPU, s.tid, o.DeferIdle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	s.Thread = &Thread{c: c, deferIdle: o.DeferIdle}
	keep(s.tid, true)
	if s.cpus, err = reserve.Pin(o.CPU); err != nil {
		keep(s.tid, false)
		c.Unregister()
		return nil, fmt.Errorf("%w: CPU %d: %w", ErrOptions, o.CPU, err)
	}
	if err := s.settle(o); err != nil {
		err = errors.Join(err, s.unblock(), reserve.Restore(s.cpus))
		keep(s.tid, false)
		c.Unregister()
		return nil, err
	}
	return s, nil
}

// settle makes sure that the CPU is the thread's alone, and prepares thread and process.
func (s *session) settle(o Options) (err error) {
	places.Lock()
	defer places.Unlock()
	if err := alone(o.CPU, s.tid); err != nil {
		return err
	}
	if o.BlockSignals {
		unblock, err := blockSignals()
		if err != nil {
			return err
		}
		s.unblock = unblock
	}
	if err := first(); err != nil {
		return err
	}
	deferral.SetShared(o.CPU, false)
	threads[o.CPU].Store(s.Thread)
	s.c.Admit()
	return nil
}

// leave brings the thread back from whatever state it is in, first of all. The first and the
// third step call functions of the program, those given to UnmapFunc, and one may end the
// goroutine (runtime.Goexit): so the others are deferred.
func (s *session) leave() {
	defer s.free()
	defer last()
	defer s.c.Unregister()
	defer threads[s.c.CPU()].Store(nil)
	s.c.Switch(tracking.Kernel)
}

// free lets the thread run everywhere again.
func (s *session) free() {
	defer keep(s.tid, false) // if nothing else was possible, a reservation moves it off
	cpu := s.c.CPU()
	if tid := gettid(); tid != s.tid {
		// Its function has unlocked the goroutine. What ran on the thread meanwhile may
		// have run old code: nobody can say.
		engine.Default.Note("isolate: the function that was isolated on CPU %d called runtime.UnlockOSThread and ended on thread %d; "+
			"thread %d, which other goroutines may use, stays pinned to the CPU", cpu, tid, s.tid)
		return
	}
	places.Lock()
	letIn(s.cpus)
	err := errors.Join(s.unblock(), reserve.Restore(s.cpus))
	places.Unlock()
	if err != nil {
		engine.Default.Note("isolate: the thread that was isolated on CPU %d stays as it was there: %v", cpu, err)
	}
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
		perCPU()
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

// perCPU asks the kernel for syncs by CPU. Without them Status says that nobody is spared, and why.
func perCPU() {
	if barrier.HavePerCPU() || host.FRED() {
		return
	}
	possible, err := host.CPUs()
	if err != nil {
		engine.Default.Note("isolate: nobody is spared, since it is not known which CPUs there may be: %v", err)
		return
	}
	_ = barrier.RegisterPerCPU(possible)
}

// foreign notes that a Thread was used by a goroutine whose it is not.
func foreign(cpu int) {
	engine.Default.Note("isolate: a method of the Thread of CPU %d was called by another goroutine, or after Run returned: "+
		"it just called its function; use the functions of package isolate, which know on which thread they run", cpu)
}
