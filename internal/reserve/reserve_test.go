package reserve

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fake is a kernel with threads that are made and moved on demand.
type fake struct {
	cpus    CPUs // online
	masks   map[int]CPUs
	starts  map[int]uint64
	next    int
	current int // the thread that calls
	looks   int
	onLook  func()              // after each listing
	onSet   func(tid int) error // before each change
	lost    bool                // listings fail
	ignore  map[int]bool        // threads whose masks do not change
}

func newFake(cpus string, masks ...string) *fake {
	f := &fake{cpus: must(cpus), masks: map[int]CPUs{}, starts: map[int]uint64{}, next: 100, ignore: map[int]bool{}}
	for _, m := range masks {
		f.add(must(m))
	}
	f.current = 100
	return f
}

func must(list string) CPUs {
	c, err := parse(list, machine)
	if err != nil {
		panic(err)
	}
	return c
}

func (f *fake) add(m CPUs) int {
	tid := f.next
	f.next++
	f.masks[tid], f.starts[tid] = slices.Clone(m), uint64(tid)
	return tid
}

func (f *fake) fork(creator int) int { return f.add(f.masks[creator]) }

func (f *fake) task(tid int) task {
	return task{Task{tid, fmt.Sprint("thread", tid), slices.Clone(f.masks[tid])}, f.starts[tid]}
}

func (f *fake) threads(pick func(CPUs) bool) ([]task, error) {
	if f.looks++; f.lost {
		return nil, errors.New("too many open files")
	}
	var out []task
	for _, tid := range slices.Sorted(maps.Keys(f.masks)) {
		if pick == nil || pick(f.masks[tid]) {
			out = append(out, f.task(tid))
		}
	}
	if f.onLook != nil {
		f.onLook()
	}
	return out, nil
}

func (f *fake) self() (task, error) { return f.task(f.current), nil }

func (f *fake) set(tid int, c CPUs) error {
	if f.onSet != nil {
		if err := f.onSet(tid); err != nil {
			return err
		}
	}
	if _, alive := f.masks[tid]; !alive {
		return errGone
	}
	if len(c.both(f.cpus)) == 0 {
		return errors.New("invalid argument")
	}
	if !f.ignore[tid] {
		f.masks[tid] = c.both(f.cpus)
	}
	return nil
}

func (f *fake) wait() {}

func (f *fake) online() (CPUs, error) { return f.cpus, nil }

// is compares all masks, in the order of the threads' numbers.
func (f *fake) is(t *testing.T, what string, want ...string) {
	t.Helper()
	var got []string
	for _, tid := range slices.Sorted(maps.Keys(f.masks)) {
		got = append(got, f.masks[tid].String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: masks %q, want %q", what, got, want)
	}
}

func only(tid int) func(int) bool { return func(t int) bool { return t == tid } }

func reserve(t *testing.T, g *registry, cpus string, mine func(int) bool) *Reservation {
	t.Helper()
	r, err := g.reserve(must(cpus), mine)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func release(t *testing.T, r *Reservation) {
	t.Helper()
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestGiveBack: everyone has what it had, whatever was reserved over and next to it, in
// whichever order that ends, and so have the threads born meanwhile.
func TestGiveBack(t *testing.T) {
	for _, firstEndsFirst := range []bool{true, false} {
		f := newFake("0-3", "0-3", "0", "2-3", "0,1")
		g := newRegistry(f)
		a := reserve(t, g, "1", nil)
		f.is(t, "one reserved", "0,2-3", "0", "2-3", "0")
		f.fork(100)
		b := reserve(t, g, "3", nil)
		f.is(t, "two reserved", "0,2", "0", "2", "0", "0,2")
		f.fork(100)
		f.fork(102)
		if firstEndsFirst {
			release(t, a)
			f.is(t, "the first released", "0-2", "0", "2", "0-1", "0-2", "0-2", "2")
			f.fork(100)
			release(t, b)
			f.is(t, "both released", "0-3", "0", "2-3", "0-1", "0-3", "0-3", "2-3", "0-3")
		} else {
			release(t, b)
			f.is(t, "the second released", "0,2-3", "0", "2-3", "0", "0,2-3", "0,2-3", "2-3")
			f.fork(100)
			release(t, a)
			f.is(t, "both released", "0-3", "0", "2-3", "0-1", "0-3", "0-3", "2-3", "0-3")
		}
		before := f.looks
		release(t, a)
		if moved, err := b.Sweep(); len(moved) > 0 || err != nil || f.looks != before {
			t.Errorf("after Release: Sweep moved %v, %v; %d looks", moved, err, f.looks-before)
		}
		if len(g.active)+len(g.threads)+len(g.homes) > 0 {
			t.Error("something is remembered without reservations")
		}
	}
}

// TestSameMask: two masks became the same one, and a new thread may come from either.
func TestSameMask(t *testing.T) {
	f := newFake("0-3", "0-1", "0,2", "0,3")
	r := reserve(t, newRegistry(f), "1-2", nil)
	f.is(t, "reserved", "0", "0", "0,3")
	f.fork(100)
	f.fork(101)
	f.fork(102)
	release(t, r)
	f.is(t, "released", "0-1", "0,2", "0,3", "0-2", "0-2", "0,3")
}

// TestMineIsPinned: an isolated thread stays on its CPU when others are released, even if its
// mask is one that threads were moved to.
func TestMineIsPinned(t *testing.T) {
	f := newFake("0-3", "0-1", "0-3")
	isolated := 0
	r := reserve(t, newRegistry(f), "1", func(tid int) bool { return tid == isolated })
	isolated = f.add(must("0"))
	release(t, r)
	f.is(t, "released", "0-1", "0-3", "0")
}

// TestBeingMade: a thread that was being made while its creator was moved has the old mask, and
// is seen only by the next look.
func TestBeingMade(t *testing.T) {
	f := newFake("0-1", "0-1", "0-1")
	born := 0
	f.onSet = func(tid int) error {
		if tid != 101 || born > 0 {
			return nil
		}
		old := f.masks[tid]
		made := f.looks + 1 // the next look does not see it yet
		f.onLook = func() {
			if f.looks == made && born == 0 {
				born = f.add(old)
			}
		}
		return nil
	}
	g := newRegistry(f)
	r := reserve(t, g, "1", nil)
	if born == 0 {
		t.Fatal("the thread was not made: there was no second look")
	}
	f.is(t, "reserved", "0", "0", "0")
	f.onSet, f.onLook = nil, nil
	release(t, r)
	f.is(t, "released", "0-1", "0-1", "0-1")
}

// TestAllOrNothing lets each single change fail.
func TestAllOrNothing(t *testing.T) {
	refused := errors.New("operation not permitted")
	masks := []string{"0-3", "0", "0-1", "1-2"}
	for n := range 3 {
		f := newFake("0-3", masks...)
		calls := 0
		f.onSet = func(int) error {
			if calls++; calls == n+1 {
				return refused
			}
			return nil
		}
		g := newRegistry(f)
		_, err := g.reserve(must("1"), nil)
		if !errors.Is(err, refused) || !strings.Contains(err.Error(), "thread10") {
			t.Errorf("change %d is refused: %v", n, err)
		}
		f.is(t, "after a failure", "0-3", "0", "0-1", "1-2")
		f.onSet = nil
		release(t, reserve(t, g, "1", nil)) // nothing is left of the failed one
		f.is(t, "after another one", "0-3", "0", "0-1", "1-2")
	}
}

// TestAllOrNothingBlind: the masks come back even when no file can be opened any more.
func TestAllOrNothingBlind(t *testing.T) {
	f := newFake("0-1", "0-1", "0", "0-1")
	f.onSet = func(int) error { f.lost = true; return nil }
	if _, err := newRegistry(f).reserve(must("1"), nil); err == nil || strings.Contains(err.Error(), "not all") {
		t.Errorf("no listing: %v", err)
	}
	f.is(t, "after a failure", "0-1", "0", "0-1")
}

// TestNoEnd: threads that cannot be moved for good end the attempt, not the patience of the caller.
func TestNoEnd(t *testing.T) {
	f := newFake("0-1", "0-1", "0-1")
	f.ignore[101] = true
	_, err := newRegistry(f).reserve(must("1"), nil)
	if err == nil || !strings.Contains(err.Error(), "64 looks") {
		t.Errorf("a mask that does not change: %v", err)
	}
	if f.looks > 4*looksMax {
		t.Errorf("%d looks", f.looks)
	}
	f.is(t, "after the failure", "0-1", "0-1")
}

func TestRefusals(t *testing.T) {
	f := newFake("0-3", "0-3", "1-2")
	g := newRegistry(f)
	r := reserve(t, g, "2", nil)
	for cpus, want := range map[string]string{
		"":    "no CPUs",
		"2-3": "2 is in the reservation of 2",
		"0,7": "7 is not online (online: 0-3)",
		"1":   `1 thread may run on reserved CPUs only and would have none left: 101 ("thread101") on 1; give it another CPU first (taskset`,
		"0-1": "101", // the first is not touched for it
	} {
		if _, err := g.reserve(must(cpus), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reserve %q: %v; want an error with %q", cpus, err, want)
		}
		f.is(t, "after refusing "+cpus, "0-1,3", "1")
	}
	if _, err := g.reserve(CPUs{-1}, nil); err == nil {
		t.Error("CPU -1: no error")
	}
	if r.CPUs().String() != "2" {
		t.Errorf("CPUs() = %s", r.CPUs())
	}
	release(t, r)
	f.is(t, "released", "0-3", "1-2")
	unsorted, err := g.reserve(CPUs{3, 0, 3}, nil)
	if err != nil || unsorted.CPUs().String() != "0,3" {
		t.Errorf("an unsorted set: %v, %v", unsorted, err)
	}
}

// TestMine: own threads are not touched, not even by Release, and a child that C code makes from
// one is.
func TestMine(t *testing.T) {
	f := newFake("0-3", "0-3", "1", "0")
	g := newRegistry(f)
	r := reserve(t, g, "1", only(101))
	f.is(t, "reserved", "0,2-3", "1", "0")
	child := f.fork(101)
	f.masks[102] = must("0-1") // taskset
	moved, err := r.Sweep()
	if err != nil || len(moved) != 2 || moved[0].TID != 102 || moved[0].CPUs.String() != "0-1" || moved[1].TID != child || moved[1].CPUs.String() != "1" {
		t.Errorf("Sweep() = %v, %v", moved, err)
	}
	f.is(t, "swept", "0,2-3", "1", "0", "0,2-3")
	if moved, err := r.Sweep(); err != nil || len(moved) != 0 {
		t.Errorf("the second Sweep() = %v, %v", moved, err)
	}
	release(t, r)
	f.is(t, "released", "0-3", "1", "0-1", "0-3")
}

// TestOthersWord: a mask that somebody sets meanwhile stays.
func TestOthersWord(t *testing.T) {
	f := newFake("0-3", "0-3", "0-3")
	r := reserve(t, newRegistry(f), "3", nil)
	f.masks[101] = must("0")
	release(t, r)
	f.is(t, "released", "0-3", "0")
}

// TestSameNumber: a thread that gets the number of one that has ended is another thread.
func TestSameNumber(t *testing.T) {
	f := newFake("0-3", "0-3", "0")
	g := newRegistry(f)
	r := reserve(t, g, "1-3", nil)
	f.starts[101] = 5000 // the thread on CPU 0 has ended; 100 made one
	release(t, r)
	f.is(t, "released", "0-3", "0-3")
}

// TestPin goes through the orders of pins and reservations.
func TestPin(t *testing.T) {
	type step struct{ do, want string }
	for name, steps := range map[string][]step{
		"alone":                 {{"pin", "3"}, {"restore", "0-3"}},
		"in a reservation":      {{"+1", "0,2-3"}, {"pin", "3"}, {"restore", "0,2-3"}, {"-1", "0-3"}},
		"over a release":        {{"+1", "0,2-3"}, {"pin", "3"}, {"-1", "3"}, {"restore", "0-3"}},
		"over a new one":        {{"pin", "3"}, {"+3", "3"}, {"restore", "0-2"}, {"-3", "0-3"}},
		"over two":              {{"+1", "0,2-3"}, {"pin", "3"}, {"+2", "3"}, {"restore", "0,3"}, {"-1", "0-1,3"}, {"-2", "0-3"}},
		"one goes, one comes":   {{"+1", "0,2-3"}, {"pin", "3"}, {"+2", "3"}, {"-1", "3"}, {"restore", "0-1,3"}, {"-2", "0-3"}},
		"twice, one in another": {{"+3", "0-2"}, {"pin", "3"}, {"pin", "3"}, {"+2", "3"}, {"restore", "3"}, {"restore", "0-1"}, {"-3", "0-1,3"}, {"-2", "0-3"}},
	} {
		f := newFake("0-3", "0-3", "0-3")
		g := newRegistry(f)
		held := map[string]*Reservation{}
		pinned := 0
		var before []CPUs
		for i, s := range steps {
			switch s.do[0] {
			case 'p':
				b, err := g.pin(3)
				if err != nil {
					t.Fatal(err)
				}
				before, pinned = append(before, b), pinned+1
			case 'r':
				if err := g.restore(before[len(before)-1]); err != nil {
					t.Fatal(err)
				}
				before, pinned = before[:len(before)-1], pinned-1
			case '+':
				held[s.do[1:]] = reserve(t, g, s.do[1:], func(tid int) bool { return tid == 100 && pinned > 0 })
			case '-':
				release(t, held[s.do[1:]])
			}
			if got := f.masks[100].String(); got != s.want {
				t.Errorf("%s: after step %d (%s) the mask is %s, want %s", name, i, s.do, got, s.want)
			}
		}
		f.is(t, name, "0-3", "0-3")
		if len(g.pins) > 0 {
			t.Errorf("%s: %d pins are left", name, len(g.pins))
		}
	}
}

// TestRestoreNowhere: all that the thread had is reserved by then.
func TestRestoreNowhere(t *testing.T) {
	f := newFake("0-3", "3", "0-3")
	g := newRegistry(f)
	before, err := g.pin(3)
	if err != nil {
		t.Fatal(err)
	}
	reserve(t, g, "3", only(100))
	if err := g.restore(before); err != nil {
		t.Fatal(err)
	}
	f.is(t, "restored", "0-2", "0-2")
}

func TestPinRefused(t *testing.T) {
	g := newRegistry(newFake("0-1", "0-1"))
	for cpu, want := range map[int]string{-1: "from 0 to 4095", 4096: "from 0 to 4095", 7: "cannot be pinned to CPU 7: invalid argument"} {
		if _, err := g.pin(cpu); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pin(%d): %v", cpu, err)
		}
	}
	if len(g.pins) > 0 {
		t.Error("a pin that failed is remembered")
	}
}

func TestOffenders(t *testing.T) {
	f := newFake("0-3", "1", "0-3", "0")
	born := 0
	f.onLook = func() { // being made at the first look
		if born == 0 {
			born = f.add(must("1"))
		}
	}
	got, err := offenders(f, 1, 100)
	if err != nil || len(got) != 2 || got[0].TID != 101 || got[1].TID != born {
		t.Errorf("offenders: %v, %v", got, err)
	}
	f.onLook = nil
	if got, err := offenders(f, 7, 100); err != nil || len(got) != 0 {
		t.Errorf("offenders of a CPU without threads: %v, %v", got, err)
	}
	f.masks[101] = must("0")
	for _, there := range []bool{true, false} { // whichever the last look sees
		come := func() { born = f.add(must("2")) }
		if there {
			come()
		}
		f.onLook = func() { // never two looks that agree
			if there = !there; there {
				come()
			} else {
				delete(f.masks, born)
			}
		}
		if got, err := offenders(f, 2, 100); err != nil || len(got) == 0 {
			t.Errorf("threads that come and go: %v, %v", got, err)
		}
		f.onLook = nil
		delete(f.masks, born)
	}
}

func TestOffendersError(t *testing.T) {
	e := &OffendersError{CPU: 3, Tasks: []Task{{7, "a) (b", must("0-3")}}}
	want := `CPU 3 is not for one thread alone, 1 other thread may run there: 7 ("a) (b") on 0-3; move them off with isolate.Reserve("3"), or each by taskset -cp LIST TID`
	if e.Error() != want {
		t.Errorf("%s\nwant %s", e, want)
	}
	for len(e.Tasks) < 17 {
		e.Tasks = append(e.Tasks, Task{100 + len(e.Tasks), "x", must("3")})
	}
	if s := e.Error(); strings.Count(s, " on ") != 16 || !strings.Contains(s, ", and 1 more;") || !strings.Contains(s, "17 other threads") {
		t.Errorf("17 threads: %s", s)
	}
}

// TestRandom does things in random order. Threads that are there from the beginning have
// exactly what they had in the end. Of those born meanwhile the mask alone tells where they come from, so they
// may have more than their parent had, never less, and nobody is ever on reserved CPUs.
func TestRandom(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		masks := []string{"0-7", "0-7", "0", "0-3", "2,4,6", "0,7"}
		f := newFake("0-7", masks...)
		g := newRegistry(f)
		parent := map[int]int{}
		f.onLook = func() { // made while everything else goes on
			if tid := 100 + rnd.IntN(f.next-100); rnd.IntN(8) == 0 && f.next < 160 {
				parent[f.fork(tid)] = tid
			}
		}
		var held []*Reservation
		for range 30 {
			if len(held) < 3 && rnd.IntN(2) == 0 {
				if r, err := g.reserve(CPUs{1 + rnd.IntN(7)}, nil); err == nil {
					held = append(held, r)
				}
			} else if len(held) > 0 {
				i := rnd.IntN(len(held))
				release(t, held[i])
				held = slices.Delete(held, i, i+1)
			}
			for tid, m := range f.masks {
				if m.overlaps(g.reserved()) {
					t.Fatalf("seed %d: thread %d on %s, reserved are %s", seed, tid, m, g.reserved())
				}
			}
		}
		for _, r := range held {
			release(t, r)
		}
		for tid, m := range f.masks {
			root := tid
			for parent[root] != 0 {
				root = parent[root]
			}
			want := must(masks[root-100])
			if missing := want.minus(m); len(missing) > 0 || tid == root && !slices.Equal(m, want) {
				t.Fatalf("seed %d: thread %d, from thread %d with %s, has %s", seed, tid, root, want, m)
			}
		}
	}
}
