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
	runtime.GOMAXPROCS(procsFor(list)) // before threads move, or Go lowers it
	r, err := reserve.New(list, kept)
	if err != nil {
		return nil, fmt.Errorf("isolate: %w", err)
	}
	v := &Reservation{r: r, stop: make(chan struct{})}
	stop := v.stop
	v.done.Go(func() { v.watch(stop) })
	return v, nil
}

// procsFor returns how many goroutines may run at once, isolated ones included.
func procsFor(reserved reserve.CPUs) int {
	procs, left := runtime.GOMAXPROCS(0), 0
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
	if left >= procs {
		procs += len(reserved) // they are not among what it has counted so far
	}
	return max(procs, len(reserved)+1)
}

// CPUs returns the CPUs as a list.
func (v *Reservation) CPUs() string { return v.r.CPUs().String() }

// Release lets all threads run on the CPUs again. Threads that are isolated there stay,
// and are interrupted by syncs from then on. Called again it does nothing, or after an error tries again.
func (v *Reservation) Release() error {
	v.release.Lock()
	defer v.release.Unlock()
	if v.stop != nil {
		close(v.stop)
		v.done.Wait()
		v.stop = nil
		v.share(true) // before anybody can come
	}
	if err := v.r.Release(); err != nil {
		return fmt.Errorf("isolate: %w", err)
	}
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

// sweep moves them off. Where that fails the CPUs are not spared any more.
func (v *Reservation) sweep() {
	moved, err := v.r.Sweep()
	for _, t := range moved {
		deferral.NoteStray()
		engine.Default.Note("isolate: thread %d (%s) could run on CPUs %s, of which %s are reserved, and was moved off; "+
			"until then it may have run old code there", t.TID, t.Comm, t.CPUs, v.CPUs())
	}
	if err != nil {
		engine.Default.Note("isolate: CPUs %s are not spared: %v", v.CPUs(), err)
	}
	v.share(err != nil)
	v.lost()
}

// lost notes isolated threads that somebody has moved: another process, or a cpuset that has
// shrunk. They are interrupted where they run now, for they are looked for by CPU.
func (v *Reservation) lost() {
	tasks, err := reserve.Tasks()
	if err != nil {
		return
	}
	for _, task := range tasks {
		for _, cpu := range v.r.CPUs() {
			t := threads[cpu].Load()
			if t != nil && t.c.TID() == task.TID && (len(task.CPUs) != 1 || task.CPUs[0] != cpu) {
				engine.Default.Note("isolate: thread %d has lost its CPU %d and may run on %s: it is isolated no more, "+
					"and is interrupted there (taskset, a cpuset, or CPU %d went offline)", task.TID, cpu, task.CPUs, cpu)
			}
		}
	}
}

// share says whether other threads may run on the CPUs.
func (v *Reservation) share(shared bool) {
	for _, cpu := range v.r.CPUs() {
		if t := threads[cpu].Load(); t != nil {
			t.c.SetShared(shared)
		}
	}
}
