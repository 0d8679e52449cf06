package reserve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What follows moves all threads of a process, so each scenario has one of its own: the
// test binary again, with the scenario's name in the environment.
const scenarioEnv = "RESERVE_TEST_SCENARIO"

var scenarios = map[string]func(*child){
	"moves":      scenarioMoves,
	"churn":      scenarioChurn,
	"narrow":     scenarioNarrow,
	"mine":       scenarioMine,
	"taskset":    scenarioTaskset,
	"cloned":     scenarioCloned,
	"undo":       scenarioUndo,
	"refusals":   scenarioRefusals,
	"restricted": scenarioRestricted,
	"pin":        scenarioPin,
}

// child is the process that a scenario runs in.
type child struct {
	allowed CPUs
	last    int // the CPU that scenarios reserve
}

func TestMain(m *testing.M) {
	name := os.Getenv(scenarioEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	allowed, err := affinity(0)
	if err != nil || len(allowed) < 2 || scenarios[name] == nil {
		fail("scenario %q on CPUs %s, %v", name, allowed, err)
	}
	scenarios[name](&child{allowed, allowed[len(allowed)-1]})
	fmt.Println("scenario done")
	os.Exit(0)
}

func fail(format string, args ...any) {
	_, file, line, _ := runtime.Caller(1)
	fmt.Printf("%s:%d: %s\n", file, line, fmt.Sprintf(format, args...))
	os.Exit(1)
}

func TestReal(t *testing.T) {
	allowed, err := affinity(0)
	if err != nil {
		t.Fatal(err)
	}
	if len(allowed) < 2 {
		t.Skipf("needs 2 CPUs that the process may run on, has %s", allowed)
	}
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			if name == "cloned" && !canClone {
				t.Skip("needs clone(2) in machine code, of linux/amd64")
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), scenarioEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "scenario done\n") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// masks returns the threads' masks.
func masks() map[int]CPUs {
	tasks, err := Tasks()
	if err != nil {
		fail("Tasks: %v", err)
	}
	m := map[int]CPUs{}
	for _, t := range tasks {
		m[t.TID] = t.CPUs
	}
	return m
}

// wantMasks compares the threads that are in both.
func wantMasks(what string, want map[int]CPUs) {
	n := 0
	for tid, got := range masks() {
		if w, known := want[tid]; known {
			if n++; !slices.Equal(got, w) {
				fail("%s: thread %d on %s, want %s", what, tid, got, w)
			}
		}
	}
	if n < 2 {
		fail("%s: only %d threads to compare", what, n)
	}
}

func (c *child) wantOff(what string) {
	for tid, m := range masks() {
		if m.Contains(c.last) {
			fail("%s: thread %d may run on CPU %d: %s", what, tid, c.last, m)
		}
	}
	if o, err := Offenders(c.last, 0); err != nil || len(o) > 0 {
		fail("%s: offenders %v, %v", what, o, err)
	}
}

func (c *child) reserve(mine func(int) bool) *Reservation {
	r, err := New(CPUs{c.last}, mine)
	if err != nil {
		fail("New: %v", err)
	}
	return r
}

// onThread runs f on a new locked thread and returns its number. The thread stays.
func onThread(f func()) int {
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		f()
		tid <- unix.Gettid()
		select {}
	}()
	return <-tid
}

// commands is a thread that does what it is sent.
type commands struct {
	tid int
	do  chan func()
	ok  chan bool
}

func newThread() *commands {
	t := &commands{do: make(chan func()), ok: make(chan bool)}
	ready := make(chan int)
	go func() {
		runtime.LockOSThread()
		ready <- unix.Gettid()
		for f := range t.do {
			f()
			t.ok <- true
		}
	}()
	t.tid = <-ready
	return t
}

func (t *commands) run(f func()) { t.do <- f; <-t.ok }

// busyThreads makes threads that are blocked in system calls, asleep, parked, and running.
func busyThreads() (stop func()) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		fail("pipe: %v", err)
	}
	var ended atomic.Bool
	for range 4 {
		onThread(func() {})
		go func() {
			runtime.LockOSThread()
			_, _ = unix.Read(p[0], make([]byte, 1)) // blocks in the kernel
		}()
		go func() {
			runtime.LockOSThread()
			for !ended.Load() {
				ts := unix.Timespec{Nsec: 50e6}
				_ = unix.Nanosleep(&ts, nil)
			}
		}()
	}
	go func() {
		for !ended.Load() {
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); len(masks()) < 14; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			fail("%d threads, want 14", len(masks()))
		}
	}
	time.Sleep(20 * time.Millisecond) // until they are where they shall be
	return func() { ended.Store(true) }
}

func scenarioMoves(c *child) {
	defer busyThreads()()
	before := masks()
	r := c.reserve(nil)
	c.wantOff("reserved")
	for range 20 {
		onThread(func() {})
	}
	if n := len(masks()); n < len(before)+10 {
		fail("%d threads after making 20 more than %d", n, len(before))
	}
	c.wantOff("with new threads")
	if moved, err := r.Sweep(); err != nil || len(moved) > 0 {
		fail("Sweep() = %v, %v", moved, err)
	}
	for range 2 {
		if err := r.Release(); err != nil {
			fail("Release: %v", err)
		}
		wantMasks("released", before)
		for tid, m := range masks() {
			if !slices.Equal(m, c.allowed) {
				fail("released: thread %d on %s, want %s", tid, m, c.allowed)
			}
		}
	}
}

// scenarioChurn makes and ends threads all the time.
func scenarioChurn(c *child) {
	var ended atomic.Bool
	var wg sync.WaitGroup
	var made atomic.Int64
	for range 3 {
		wg.Go(func() {
			for !ended.Load() {
				done := make(chan bool)
				go func() {
					runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
					done <- true
				}()
				<-done
				made.Add(1)
			}
		})
	}
	for range 15 {
		r := c.reserve(nil)
		for range 3 {
			c.wantOff("with threads that come and go")
		}
		if err := r.Release(); err != nil {
			fail("Release: %v", err)
		}
		for tid, m := range masks() {
			if !slices.Equal(m, c.allowed) {
				fail("released: thread %d on %s, want %s", tid, m, c.allowed)
			}
		}
	}
	ended.Store(true)
	wg.Wait()
	if made.Load() < 100 {
		fail("only %d threads were made", made.Load())
	}
}

// scenarioNarrow: a thread that was elsewhere by its own choice is not given more.
func scenarioNarrow(c *child) {
	first := CPUs{c.allowed[0]}
	tid := onThread(func() {
		if err := (system{}).set(0, first); err != nil {
			fail("%v", err)
		}
	})
	before := masks()
	r := c.reserve(nil)
	c.wantOff("reserved")
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	wantMasks("released", before)
	if got := masks()[tid]; !slices.Equal(got, first) {
		fail("the narrow thread is on %s", got)
	}
}

// isolated is a thread that is pinned to the CPU.
func (c *child) isolated() (t *commands, before CPUs) {
	t = newThread()
	t.run(func() {
		var err error
		if before, err = Pin(c.last); err != nil {
			fail("Pin: %v", err)
		}
	})
	return t, before
}

func scenarioMine(c *child) {
	onThread(func() {})
	all := masks()
	t, before := c.isolated()
	if !slices.Equal(before, c.allowed) {
		fail("Pin returned %s", before)
	}
	r := c.reserve(only(t.tid))
	if got := masks()[t.tid]; !slices.Equal(got, CPUs{c.last}) {
		fail("the isolated thread is on %s", got)
	}
	if o, err := Offenders(c.last, t.tid); err != nil || len(o) > 0 {
		fail("offenders %v, %v", o, err)
	}
	if o, err := Offenders(c.last, 0); err != nil || len(o) != 1 || o[0].TID != t.tid || o[0].Comm == "" {
		fail("offenders with the thread itself: %v, %v", o, err)
	}
	if moved, err := r.Sweep(); err != nil || len(moved) > 0 {
		fail("Sweep() = %v, %v", moved, err)
	}
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	if got := masks()[t.tid]; !slices.Equal(got, CPUs{c.last}) {
		fail("the isolated thread is on %s after Release", got)
	}
	t.run(func() {
		if err := Restore(before); err != nil {
			fail("Restore: %v", err)
		}
	})
	all[t.tid] = c.allowed
	wantMasks("restored", all)
}

// scenarioTaskset: somebody sets the mask of a thread.
func scenarioTaskset(c *child) {
	tid := onThread(func() {})
	before := masks()
	r := c.reserve(nil)
	for _, m := range []CPUs{c.allowed, {c.last}} {
		if err := (system{}).set(tid, m); err != nil {
			fail("%v", err)
		}
		if o, err := Offenders(c.last, 0); err != nil || len(o) != 1 || o[0].TID != tid {
			fail("offenders %v, %v", o, err)
		}
		moved, err := r.Sweep()
		if err != nil || len(moved) != 1 || moved[0].TID != tid || !slices.Equal(moved[0].CPUs, m) {
			fail("Sweep() = %v, %v", moved, err)
		}
		c.wantOff("swept")
	}
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	wantMasks("released", before)
}

// scenarioCloned: C code of an isolated thread makes a thread, which is born on the same CPU.
func scenarioCloned(c *child) {
	t, _ := c.isolated()
	r := c.reserve(only(t.tid))
	var tid int
	var end func()
	t.run(func() {
		var err error
		if tid, end, err = cloneThread(); err != nil {
			fail("clone: %v", err)
		}
	})
	if o, err := Offenders(c.last, t.tid); err != nil || len(o) != 1 || o[0].TID != tid || !slices.Equal(o[0].CPUs, CPUs{c.last}) {
		fail("offenders %v, %v; want thread %d", o, err, tid)
	}
	moved, err := r.Sweep()
	if err != nil || len(moved) != 1 || moved[0].TID != tid || !slices.Equal(moved[0].CPUs, CPUs{c.last}) {
		fail("Sweep() = %v, %v; want thread %d", moved, err, tid)
	}
	if o, err := Offenders(c.last, t.tid); err != nil || len(o) > 0 {
		fail("offenders after Sweep: %v, %v", o, err)
	}
	rest := c.allowed.minus(CPUs{c.last})
	if got := masks()[tid]; !slices.Equal(got, rest) {
		fail("the new thread was moved to %s, want %s", got, rest)
	}
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	if got := masks()[tid]; !slices.Equal(got, c.allowed) {
		fail("the new thread has %s after Release", got)
	}
	end()
	for deadline := time.Now().Add(5 * time.Second); masks()[tid] != nil; {
		if time.Now().After(deadline) {
			fail("thread %d does not end", tid)
		}
		time.Sleep(time.Millisecond)
	}
}

// scenarioUndo: while threads are being moved, one turns up that cannot be.
func scenarioUndo(c *child) {
	victim := onThread(func() {})
	for range 5 {
		onThread(func() {})
	}
	before := masks()
	seen, late := map[int]bool{}, false
	_, err := New(CPUs{c.last}, func(tid int) bool {
		if seen[tid] && !late { // in the second look: the first has moved all
			late = true
			if m := masks()[tid]; m.Contains(c.last) {
				fail("thread %d is still on %s", tid, m)
			}
			if err := (system{}).set(victim, CPUs{c.last}); err != nil {
				fail("%v", err)
			}
		}
		seen[tid] = true
		return false
	})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(victim)) {
		fail("%v; want an error that names thread %d", err, victim)
	}
	before[victim] = CPUs{c.last}
	wantMasks("after the failure", before)
}

func scenarioRefusals(c *child) {
	tid := onThread(func() {
		if err := (system{}).set(0, CPUs{c.last}); err != nil {
			fail("%v", err)
		}
	})
	before := masks()
	_, err := New(CPUs{c.last}, nil)
	for _, want := range []string{fmt.Sprintf("%d (", tid), fmt.Sprintf(" on %d;", c.last), "taskset -cp"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			fail("%v; want %q", err, want)
		}
	}
	online, err := Online()
	if err != nil || len(online.both(c.allowed)) != len(c.allowed) {
		fail("Online() = %s, %v; allowed are %s", online, err, c.allowed)
	}
	none := online[len(online)-1] + 1
	if _, err := New(CPUs{none}, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d is not online", none)) {
		fail("a CPU that is not there: %v", err)
	}
	if _, err := New(c.allowed, nil); err == nil {
		fail("all CPUs: no error")
	}
	wantMasks("after refusals", before)
	r := c.reserve(only(tid))
	if _, err := New(CPUs{c.last}, only(tid)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in the reservation of %d", c.last)) {
		fail("reserved twice: %v", err)
	}
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	wantMasks("released", before)
}

// scenarioRestricted: taskset -c 0 program.
func scenarioRestricted(c *child) {
	onThread(func() {})
	first := CPUs{c.allowed[0]}
	for quiet := 0; quiet < 3; quiet++ { // the runtime makes threads when it likes
		for tid, m := range masks() {
			if slices.Equal(m, first) {
				continue
			}
			quiet = 0
			if err := (system{}).set(tid, first); err != nil && !errors.Is(err, errGone) {
				fail("%v", err)
			}
		}
		system{}.wait()
	}
	before := masks()
	r := c.reserve(nil)
	if moved, err := r.Sweep(); err != nil || len(moved) > 0 {
		fail("Sweep() = %v, %v", moved, err)
	}
	wantMasks("reserved", before)
	t, was := c.isolated() // allowed: taskset does not limit what a thread asks for later
	t.run(func() {
		if err := Restore(was); err != nil {
			fail("Restore: %v", err)
		}
	})
	if err := r.Release(); err != nil {
		fail("Release: %v", err)
	}
	for tid, m := range masks() {
		if !slices.Equal(m, first) {
			fail("thread %d has %s, but nothing was taken from it", tid, m)
		}
	}
	if _, err := New(first, nil); err == nil || !strings.Contains(err.Error(), "would have none left") {
		fail("the only CPU: %v", err)
	}
}

func scenarioPin(c *child) {
	t := newThread()
	online, err := Online()
	if err != nil {
		fail("%v", err)
	}
	t.run(func() {
		for _, cpu := range []int{-1, cpusMax, online[len(online)-1] + 1} {
			if _, err := Pin(cpu); err == nil || !strings.Contains(err.Error(), fmt.Sprint(cpu)) {
				fail("Pin(%d): %v", cpu, err)
			}
		}
		before, err := Pin(c.last)
		if err != nil || !slices.Equal(before, c.allowed) {
			fail("Pin: %s, %v", before, err)
		}
		if now, err := affinity(0); err != nil || !slices.Equal(now, CPUs{c.last}) {
			fail("pinned to %s, %v", now, err)
		}
		if err := Restore(before); err != nil {
			fail("Restore: %v", err)
		}
		if now, err := affinity(0); err != nil || !slices.Equal(now, c.allowed) {
			fail("restored to %s, %v", now, err)
		}
	})
}

// TestThreadIDs: what one listing misses, another has.
func TestThreadIDs(t *testing.T) {
	pid := os.Getpid()
	lists := [][]string{{fmt.Sprint(pid), "7"}, {fmt.Sprint(pid), "9", "8"}, {fmt.Sprint(pid), "6"}}
	n := 0
	got, err := threadIDs(func() ([]string, bool, error) {
		n++
		return lists[n-1], n == 2, nil
	})
	want := []int{7, 8, 9, pid}
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("after %d listings: %v, %v; want %v", n, got, err, want)
	}
	if _, err := threadIDs(func() ([]string, bool, error) { return []string{"1"}, true, nil }); err == nil || !strings.Contains(err.Error(), "PID namespace") {
		t.Errorf("another /proc: %v", err)
	}
	n = 0
	_, _ = threadIDs(func() ([]string, bool, error) { n++; return lists[0], false, nil })
	if n > 10 {
		t.Errorf("%d listings that are never whole", n)
	}
}

// TestListingIsWhole ends threads during listings, which makes the kernel miss others now and then.
func TestListingIsWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("makes hundreds of threads: not with -short")
	}
	start := func() (tid int, end chan bool) {
		c, end := make(chan int), make(chan bool)
		go func() {
			runtime.LockOSThread()
			c <- unix.Gettid()
			<-end
		}()
		return <-c, end
	}
	wholes := 0
	for range 5 {
		var stay []int
		var ends, laterEnds []chan bool
		for range 200 {
			_, end := start()
			tid, later := start()
			stay, ends, laterEnds = append(stay, tid), append(ends, end), append(laterEnds, later)
		}
		done := make(chan bool)
		go func() {
			for _, end := range ends {
				end <- true
			}
			close(done)
		}()
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			names, whole, err := listOnce()
			if err != nil {
				t.Fatal(err)
			}
			if !whole {
				continue
			}
			wholes++
			for _, tid := range stay {
				if !slices.Contains(names, fmt.Sprint(tid)) {
					t.Fatalf("thread %d is missing in a listing that is taken for whole", tid)
				}
			}
		}
		for _, end := range laterEnds {
			end <- true
		}
	}
	if wholes == 0 {
		t.Error("no listing was whole: the links of the directory are not its entries and two")
	}
}

// TestMaskOf: every number has its bit, and a mask that is set is the one that is read.
func TestMaskOf(t *testing.T) {
	for _, list := range []string{"", "0", "63", "64", "31-32,1023-1024", "4095", "0-4095", "1-4095:3/7"} {
		c := must(list)
		m := maskOf(c)
		if got := m.cpus(); !slices.Equal(got, c) {
			t.Errorf("the mask of %s is read as %s", c, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194368 0 0 0 0 0 0 0 0 20 0 5 0 98765 0 0"
	for _, name := range []string{"app", "a) (b", "", "x\ny"} {
		comm, start, err := parseStat([]byte("17 (" + name + ")" + rest))
		if comm != name || start != 98765 || err != nil {
			t.Errorf("name %q: %q, %d, %v", name, comm, start, err)
		}
	}
	for _, s := range []string{"", "17 (app", "17 app)", ")(", "17 (app) S 1 2", "17 (app)" + strings.Replace(rest, "98765", "x", 1)} {
		if _, _, err := parseStat([]byte(s)); err == nil {
			t.Errorf("parseStat(%q): no error", s)
		}
	}
}

func TestPossible(t *testing.T) {
	p, err := system{}.possible()
	if err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]int{"N": p[len(p)-1], "all": p[len(p)-1]} {
		if c, err := Parse(list); err != nil || c[len(c)-1] != want {
			t.Errorf("Parse(%q) = %s, %v; possible are %s", list, c, err, p)
		}
	}
}

func BenchmarkTasks(b *testing.B) {
	for b.Loop() {
		_, _ = Tasks()
	}
}

func BenchmarkNothingToSweep(b *testing.B) {
	for b.Loop() {
		_, _ = system{}.threads(func(CPUs) bool { return false })
	}
}
