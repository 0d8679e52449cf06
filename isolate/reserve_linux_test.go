package isolate_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() {
	scenarios["refusals"] = scenarioRefusals
	scenarios["reserve"] = scenarioReserve
	scenarios["stray"] = scenarioStray
	scenarios["sweeps"] = scenarioSweeps
	scenarios["shared"] = scenarioShared
	scenarios["maxprocs"] = scenarioMaxProcs
}

func TestRefusals(t *testing.T) { scenario(t, nil, "refusals") }
func TestReserve(t *testing.T)  { scenario(t, nil, "reserve") }
func TestSweeps(t *testing.T)   { scenario(t, nil, "sweeps") }
func TestShared(t *testing.T)   { scenario(t, nil, "shared") }

func TestStray(t *testing.T) {
	t.Parallel() // it sleeps most of the time
	if testing.Short() {
		t.Skip("short: sleeps for two seconds")
	}
	scenario(t, nil, "stray")
}

func TestGOMAXPROCS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: sleeps for two seconds")
	}
	scenario(t, nil, "maxprocs")
}

// threadNames are the names of the threads of this process, by number.
func threadNames() map[int]string {
	tasks, err := os.ReadDir("/proc/self/task")
	must(err)
	names := map[int]string{}
	for _, task := range tasks {
		var tid int
		_, err := fmt.Sscan(task.Name(), &tid)
		must(err)
		if comm, err := os.ReadFile("/proc/self/task/" + task.Name() + "/comm"); err == nil {
			names[tid] = strings.TrimSpace(string(comm))
		}
	}
	return names
}

// onThread starts a thread that is not the runtime's to use otherwise.
func onThread() (tid int) {
	started := make(chan int)
	go func() {
		runtime.LockOSThread()
		started <- unix.Gettid()
		select {}
	}()
	return <-started
}

func cpusOf(tid int) (set unix.CPUSet) {
	must(unix.SchedGetaffinity(tid, &set))
	return set
}

// scenarioRefusals: Run says what is wrong, and changes nothing.
func scenarioRefusals(c *child) {
	runtime.LockOSThread()
	onThread()
	self := unix.Gettid()
	never := func(*isolate.Thread) { fail("the function was called") }
	refused := func(what string, o isolate.Options, f func(*isolate.Thread)) error {
		before, procs, tracked := ownMasks(), runtime.GOMAXPROCS(0), isolate.Tracked()
		err := isolate.Run(o, f)
		if err == nil {
			fail("%s: no error", what)
		}
		if ownMasks() != before || runtime.GOMAXPROCS(0) != procs || isolate.Tracked() != tracked {
			fail("%s: masks %+v became %+v, GOMAXPROCS %d became %d, tracked %v became %v",
				what, before, ownMasks(), procs, runtime.GOMAXPROCS(0), tracked, isolate.Tracked())
		}
		return err
	}
	for _, block := range []bool{false, true} {
		o := isolate.Options{CPU: c.cpu, BlockSignals: block}
		err := refused("not reserved", o, never)
		wantError(err, isolate.ErrShared, fmt.Sprint("CPU ", c.cpu), "isolate.Reserve")
		for tid, name := range threadNames() {
			if listed := strings.Contains(err.Error(), fmt.Sprintf("%d (%q)", tid, name)); listed == (tid == self) {
				fail("thread %d (%q) of %v is listed: %v, in %v", tid, name, threadNames(), listed, err)
			}
		}
		wantError(refused("nil", o, nil), isolate.ErrOptions, "nil")
		for _, cpu := range []int{-1, 4095, 4096, 1 << 20, math.MinInt32} {
			wantError(refused("no such CPU", isolate.Options{CPU: cpu, BlockSignals: block}, never), isolate.ErrOptions, fmt.Sprint("CPU ", cpu))
		}
	}
	if isolate.Tracked() {
		fail("tracking is on")
	}
	r := c.reserve()
	other := refused("another CPU than the reserved one", isolate.Options{CPU: c.allowed[0]}, never)
	wantError(other, isolate.ErrShared, fmt.Sprint("CPU ", c.allowed[0]))
	c.tryTaken(refused, never)
	if isolate.Tracked() || len(quietpatch.Status().Problems) > 0 {
		fail("in the end tracking is on: %v, problems %q", isolate.Tracked(), problems())
	}
	must(r.Release())
	wantError(refused("released", isolate.Options{CPU: c.cpu}, never), isolate.ErrShared)
}

// tryTaken asks for the CPU of a thread that is isolated.
func (c *child) tryTaken(refused func(string, isolate.Options, func(*isolate.Thread)) error, never func(*isolate.Thread)) {
	stop := make(chan struct{})
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) { <-stop })
	first := c.thread()
	if first.TID == 0 || first.State != "USER" || !isolate.Tracked() {
		fail("the first one is %+v", first)
	}
	for range 20 {
		err := refused("taken", isolate.Options{CPU: c.cpu, BlockSignals: true}, never)
		if !strings.Contains(err.Error(), fmt.Sprint(first.TID)) {
			fail("thread %d has the CPU: %v", first.TID, err)
		}
	}
	if set := cpusOf(first.TID); set.Count() != 1 || !set.IsSet(c.cpu) || c.thread() != first {
		fail("the first one became %+v, on %+v", c.thread(), set)
	}
	close(stop)
	<-ended
	c.run(isolate.Options{}, func(t *isolate.Thread) {
		for _, cpu := range c.allowed {
			wantError(refused("Run within Run", isolate.Options{CPU: cpu, BlockSignals: true}, never), isolate.ErrOptions, "already")
			t.Kernel(func() {
				wantError(refused("Run within Kernel", isolate.Options{CPU: cpu}, never), isolate.ErrOptions, "already")
			})
		}
		if now := c.thread(); now.State != "USER" || now.TID != unix.Gettid() {
			fail("after Run within Run: %+v", now)
		}
	})
}

// scenarioReserve: threads leave the CPU, those that are born later stay away, and Release
// lets them come back.
func scenarioReserve(c *child) {
	for range 4 {
		onThread()
	}
	before := map[int]unix.CPUSet{}
	for tid := range threadNames() {
		before[tid] = cpusOf(tid)
	}
	for _, bad := range []string{"", "x", "-1", "3-1", "999999"} {
		if r, err := isolate.Reserve(bad); err == nil || r != nil {
			fail("Reserve(%q) returned %v, %v", bad, r, err)
		}
	}
	_, err := isolate.Reserve("nonsense")
	wantError(err, isolate.ErrOptions)
	r := c.reserve()
	if r.CPUs() != fmt.Sprint(c.cpu) {
		fail("reserved %q", r.CPUs())
	}
	c.wantNobodyOn("after Reserve")
	if _, err := isolate.Reserve(fmt.Sprint(c.cpu)); err == nil {
		fail("reserved twice")
	}
	var born []int
	for range 20 {
		born = append(born, onThread())
	}
	c.wantNobodyOn("threads that were born later")
	stop := make(chan struct{})
	last := make(chan int)
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) {
		last <- onThread() // by a thread that may run nowhere else
		<-stop
	})
	born = append(born, <-last)
	r.Sweep()
	if set := cpusOf(c.thread().TID); set.Count() != 1 || !set.IsSet(c.cpu) {
		fail("the isolated thread was moved to %+v", set)
	}
	for _, tid := range born {
		if set := cpusOf(tid); set.IsSet(c.cpu) || set.Count() == 0 {
			fail("thread %d may run on %+v", tid, set)
		}
	}
	close(stop)
	<-ended
	must(r.Release())
	must(r.Release())
	for tid, want := range before {
		if set := cpusOf(tid); set != want {
			fail("after Release thread %d may run on %+v, before Reserve on %+v", tid, set, want)
		}
	}
	for _, tid := range born[:20] {
		if set := cpusOf(tid); !set.IsSet(c.cpu) {
			fail("after Release a thread that was born meanwhile may run on %+v", set)
		}
	}
	must(c.reserve().Release()) // again
}

// scenarioStray: what C code or another process may do to a thread is put right, and told.
func scenarioStray(c *child) {
	r := c.reserve()
	stop := make(chan struct{})
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) { <-stop })
	isolated := c.thread().TID
	tid := onThread()
	var set unix.CPUSet
	set.Set(c.cpu)
	must(unix.SchedSetaffinity(tid, &set))
	until(func() bool { // the reservation looks once a second
		set := cpusOf(tid)
		return !set.IsSet(c.cpu)
	})
	until(func() bool { return isolate.Status().Strays > 0 })
	if set := cpusOf(tid); set.Count() == 0 {
		fail("the stray may run nowhere")
	}
	s := isolate.Status()
	if s.Strays != 1 || len(problems(fmt.Sprintf("thread %d", tid), "reserved", "moved off")) != 1 || len(problems()) != 1 {
		fail("%d strays, problems %q", s.Strays, problems())
	}
	if set := cpusOf(isolated); set.Count() != 1 || !set.IsSet(c.cpu) {
		fail("the isolated thread was moved to %+v", set)
	}
	// The isolated thread itself is not put back: whoever moved it may have had a reason.
	var all unix.CPUSet
	for _, cpu := range c.allowed {
		all.Set(cpu)
	}
	must(unix.SchedSetaffinity(isolated, &all))
	until(func() bool {
		return len(problems(fmt.Sprintf("thread %d", isolated), fmt.Sprint("lost its CPU ", c.cpu))) > 0
	})
	close(stop)
	<-ended
	must(r.Release())
}

// scenarioSweeps: a sweep that comes while a thread goes in or out leaves it alone.
func scenarioSweeps(c *child) {
	r := c.reserve()
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			r.Sweep()
			runtime.Gosched()
		}
	})
	for i := range 300 {
		c.outside("under sweeps", "return", func() {
			c.run(isolate.Options{BlockSignals: i%2 == 0}, func(t *isolate.Thread) {
				if set := cpusOf(0); set.Count() != 1 || !set.IsSet(c.cpu) {
					fail("round %d: the isolated thread may run on %+v", i, set)
				}
				t.Kernel(func() {})
			})
		})
	}
	stop.Store(true)
	wg.Wait()
	if s := isolate.Status(); s.Strays > 0 || len(problems()) > 0 {
		fail("%d strays, problems %q", s.Strays, problems())
	}
	c.wantNobodyOn("at the end")
}

// scenarioShared: a thread whose CPU is released while it is isolated stays there, and is not
// spared any more.
func scenarioShared(c *child) {
	r := c.reserve()
	must(owedKey.Set(true))
	stop := make(chan struct{})
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) { <-stop })
	must(owedKey.Set(false))
	before := c.thread()
	if yes, why := spares(); !yes {
		fmt.Println("nobody is spared anyway: " + why)
	} else if before.Deferred == 0 {
		fail("the thread is not spared: %+v", before)
	}
	must(r.Release())
	must(owedKey.Set(true))
	if after := c.thread(); after.Deferred != before.Deferred || after.State != "USER" || before.Shared || !after.Shared {
		fail("another thread may run there, and syncs are left to this one: %+v became %+v", before, after)
	}
	if set := cpusOf(before.TID); set.Count() != 1 || !set.IsSet(c.cpu) {
		fail("the isolated thread was moved to %+v", set)
	}
	close(stop)
	<-ended
	for tid := range threadNames() {
		if set := cpusOf(tid); set.Count() != len(c.allowed) {
			fail("at the end thread %d may run on %+v", tid, set)
		}
	}
}

// scenarioMaxProcs: Go lowers GOMAXPROCS to the CPUs that threads may run on, unless Reserve
// prevents it.
func scenarioMaxProcs(c *child) {
	before := runtime.GOMAXPROCS(0)
	r := c.reserve()
	end := time.Now().Add(2 * time.Second) // the runtime looks once a second
	for i := 0; time.Now().Before(end); i++ {
		if i%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
		if now := runtime.GOMAXPROCS(0); now < before || now < 2 {
			fail("GOMAXPROCS was %d, and is %d", before, now)
		}
	}
	must(r.Release())
}
