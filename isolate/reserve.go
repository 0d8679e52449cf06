package isolate

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/internal/reserve"
)

// Reservation is CPUs that only isolated threads run on.
type Reservation struct {
	r       *reserve.Reservation
	release sync.Mutex
	stop    chan struct{} // nil: the watch has ended
	done    sync.WaitGroup
	over    bool // released; places covers it
}

// Reserve moves every other thread of the process off some CPUs, given as a list such as
// "3" or "2-3,6" (the kernel's cpulist), so that threads can be isolated there. Threads
// that begin later stay away, since they inherit where they may run; once a second
// Reserve looks for some that do not, which C code or another process may have put there, and moves
// them, too; [Status] tells.
//
// Other processes are not its business: see isolcpus, cpusets and taskset in docs/ISOLATION.md.
//
// Go adapts GOMAXPROCS to the CPUs that are left, unless the program has set it. An isolated thread
// that runs Go code takes one of them for itself, so Reserve sets GOMAXPROCS: to what it is, or to the CPUs that
// are left and the reserved ones together, if the process was not allowed to use these before (isolcpus).
func Reserve(cpus string) (*Reservation, error) {
	list, err := reserve.Parse(cpus)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	places.Lock()
	defer places.Unlock()
	n := procs.need(list)
	r, err := reserve.New(list, kept)
	if err != nil {
		return nil, fmt.Errorf("isolate: %w", err)
	}
	procs.set(n, len(list)) // at once: Go looks once a second
	reservedBy.add(list, 1)
	v := &Reservation{r: r, stop: make(chan struct{})}
	stop := v.stop
	v.done.Go(func() { v.watch(stop) })
	return v, nil
}

// reservedBy counts reservations, by CPU. places covers it.
var reservedBy reservations

type reservations map[int]int

func (r *reservations) add(cpus reserve.CPUs, n int) {
	if *r == nil {
		*r = reservations{}
	}
	for _, cpu := range cpus {
		(*r)[cpu] += n
	}
}

// letIn shares the CPUs of isolated threads that a thread with this mask may come to. Nothing is to be
// done for those that are reserved: reservations keep it off. places is held.
func letIn(mask reserve.CPUs) {
	some := false
	for _, cpu := range mask {
		if cpu < len(threads) && threads[cpu].Load() != nil && reservedBy[cpu] == 0 {
			deferral.SetShared(cpu, true)
			some = true
		}
	}
	if some {
		if err := engine.Default.SyncEveryone(); err != nil {
			engine.Default.Note("isolate: a thread that was isolated may run on CPUs %s, where others are isolated: %v", mask, err)
		}
	}
}

// processors is what Reserve has made of GOMAXPROCS. places covers it.
type processors struct {
	before   int // what others wanted it to be
	now      int // what we have made of that
	reserved int // CPUs
}

var procs processors

// need returns how many goroutines may run at once when the CPUs are reserved, isolated
// ones included.
func (p *processors) need(reserved reserve.CPUs) int {
	if n := runtime.GOMAXPROCS(0); n != p.now {
		p.before = n
	}
	left := 0
	tasks, _ := reserve.Tasks() // without them: as it is
	for _, t := range tasks {
		n := 0
		for _, cpu := range t.CPUs {
			if !reserved.Contains(cpu) {
				n++
			}
		}
		left = max(left, n)
	}
	all := p.reserved + len(reserved)
	if left >= p.before {
		return p.before + all // they were not among what it has counted
	}
	return max(p.before, all+1)
}

func (p *processors) set(n, reserved int) {
	runtime.GOMAXPROCS(n)
	p.now = n
	p.reserved += reserved
}

// CPUs returns the CPUs as a list.
func (v *Reservation) CPUs() string { return v.r.CPUs().String() }

// Release lets all threads run on the CPUs again. Threads that are isolated there stay,
// and are interrupted by syncs from then on. Called again it does nothing. After an error the CPUs are
// as reserved as before, and calling it again tries again.
func (v *Reservation) Release() error {
	v.release.Lock()
	defer v.release.Unlock()
	if v.stop == nil {
		return nil
	}
	if err := v.giveBack(); err != nil {
		return fmt.Errorf("isolate: CPUs %s stay reserved: %w", v.CPUs(), err)
	}
	close(v.stop)
	v.done.Wait()
	v.stop = nil
	return nil
}

// giveBack does it, or nothing. The watch goes on until it has: a sweep that comes later has
// nothing to do.
func (v *Reservation) giveBack() error {
	places.Lock()
	defer places.Unlock()
	err := v.share(v.r.CPUs()) // before anybody can come
	if err == nil {
		err = v.r.Release()
	}
	if err != nil {
		v.spare(v.r.Settle()) // those that have come back already: no strays, it was us
		return err
	}
	v.over = true
	reservedBy.add(v.r.CPUs(), -1)
	procs.reserved -= len(v.r.CPUs())
	return nil
}

// sweepEvery is how often the threads of the process are looked at.
const sweepEvery = time.Second

// watch keeps threads off the CPUs that come there in spite of all.
func (v *Reservation) watch(stop chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			v.sweep()
		}
	}
}

// sweep moves them off. Where that fails the CPUs are not spared any more. After Release there is
// nothing to do.
func (v *Reservation) sweep() {
	places.Lock()
	defer places.Unlock()
	if v.over {
		return
	}
	moved, err := v.r.Sweep()
	for _, t := range moved {
		deferral.NoteStray()
		engine.Default.Note("isolate: thread %d (%s) could run on CPUs %s, of which %s are reserved, and was moved off; "+
			"until then it may have run old code there", t.TID, t.Comm, t.CPUs, v.CPUs())
	}
	v.spare(err)
}

// spare says of each CPU whether it is one thread's alone, after a look that may have failed.
func (v *Reservation) spare(err error) {
	shared := v.lost()
	if err != nil {
		engine.Default.Note("isolate: CPUs %s are not spared: %v", v.CPUs(), err)
		shared = v.r.CPUs()
	}
	for _, cpu := range v.r.CPUs() {
		if !shared.Contains(cpu) {
			deferral.SetShared(cpu, false)
		}
	}
	if len(shared) > 0 {
		if err := v.share(shared); err != nil {
			engine.Default.Note("isolate: CPUs %s: %v", shared, err)
		}
	}
}

// share says that other threads may run on the CPUs, and makes up for the syncs that were
// left to threads that are isolated there.
func (v *Reservation) share(cpus reserve.CPUs) error {
	for _, cpu := range cpus {
		deferral.SetShared(cpu, true)
	}
	return engine.Default.SyncEveryone()
}

// lost finds isolated threads that may run elsewhere: somebody has moved them, another process
// or a cpuset that has shrunk. They are interrupted where they run now, for they are looked for by
// CPU. It returns the CPUs of other isolated threads that such a one may come to.
func (v *Reservation) lost() (shared reserve.CPUs) {
	isolated := map[int]*Thread{}
	for cpu := range threads {
		if t := threads[cpu].Load(); t != nil {
			isolated[t.c.TID()] = t
		}
	}
	if len(isolated) == 0 {
		return nil
	}
	tasks, err := reserve.Tasks() // after they were there, so they were pinned by then
	if err != nil {
		engine.Default.Note("isolate: the threads of the process could not be looked at: %v", err)
		return v.r.CPUs() // nobody can say
	}
	for _, task := range tasks {
		t := isolated[task.TID]
		if t == nil || len(task.CPUs) == 1 && task.CPUs[0] == t.CPU() || threads[t.CPU()].Load() != t {
			continue // the last: it may have gone back meanwhile
		}
		engine.Default.Note("isolate: thread %d has lost its CPU %d and may run on %s: it is isolated no more, "+
			"and is interrupted there (taskset, a cpuset, or CPU %d went offline)", task.TID, t.CPU(), task.CPUs, t.CPU())
		for _, cpu := range task.CPUs {
			if cpu != t.CPU() && v.r.CPUs().Contains(cpu) {
				shared = append(shared, cpu)
			}
		}
	}
	return shared
}
