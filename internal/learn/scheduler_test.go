package learn

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSchedulerOrder(t *testing.T) {
	r := testRules(t, Options{CountedMax: 2})
	s := r.Scheduler()
	if d := s.Wait(0); d != 60*time.Second {
		t.Errorf("without sites: wait %v", d)
	}
	for id := range 4 {
		if got := s.Add(); got != id {
			t.Fatalf("id %d, want %d", got, id)
		}
	}
	if d := s.Wait(0); d != 0 {
		t.Errorf("new sites: wait %v", d)
	}
	next := func(now time.Duration, want int) {
		t.Helper()
		id, ok := s.Next(now)
		if want < 0 && ok || want >= 0 && (!ok || id != want) {
			t.Fatalf("at %v: %d, %v; want %d", now, id, ok, want)
		}
	}
	next(0, 0)
	next(0, 1)
	next(0, -1) // no room
	if d := s.Wait(0); d != 10*ms {
		t.Errorf("counting: wait %v", d)
	}
	s.Sleep(0, 3*time.Second)
	s.Sleep(1, 2*time.Second)
	next(5*time.Second, 2) // new ones go before all that are due
	s.Remove(2)
	s.Add() // 4
	next(5*time.Second, 3)
	next(5*time.Second, 4)
	s.Sleep(3, 2*time.Second)
	s.Sleep(4, 100*time.Second)
	next(time.Second, -1)
	if d := s.Wait(time.Second); d != time.Second {
		t.Errorf("nothing counted: wait %v", d)
	}
	if d := s.Wait(2*time.Second - 1); d != 10*ms {
		t.Errorf("due soon: wait %v", d)
	}
	next(3*time.Second, 1)
	next(3*time.Second, 3) // due as long as 1, but came later
	s.Remove(1)
	s.Remove(3)
	next(3*time.Second, 0)
	s.Remove(0)
	if d := s.Wait(3 * time.Second); d != 60*time.Second {
		t.Errorf("due late: wait %v", d)
	}
	for _, id := range []int{-1, 0, 1, 5, 1000} {
		if s.Sleep(id, 0) || s.Remove(id) {
			t.Errorf("site %d is not there", id)
		}
	}
	if s.Sleep(4, 0) {
		t.Error("a waiting site was put to sleep")
	}
	s.Add() // 5
	next(3*time.Second, 5)
	s.Sleep(5, 0)
	s.Add() // 6
	next(3*time.Second, 6)
}

// TestSchedulerModel does random things to a scheduler and to lists that are
// searched from end to end.
func TestSchedulerModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := testRules(t, Options{CountedMax: 7})
	s := r.Scheduler()
	var waits, counted []waiting
	var seq uint64
	now := time.Duration(0)
	for range 20000 {
		now += time.Duration(rng.IntN(3)) * ms
		switch n := rng.IntN(10); {
		case n < 2:
			waits = append(waits, waiting{neverCounted, seq, s.Add()})
			seq++
		case n < 6:
			id, ok := s.Next(now)
			if len(waits) == 0 || len(counted) == 7 {
				if ok {
					t.Fatalf("%d waiting, %d counted: next is %d", len(waits), len(counted), id)
				}
				break
			}
			first := slices.MinFunc(waits, func(a, b waiting) int {
				if a.before(b) {
					return -1
				}
				return 1
			})
			if ok != (first.due <= now) || ok && id != first.id {
				t.Fatalf("at %v: next is %d, %v; want %+v", now, id, ok, first)
			}
			if ok {
				waits = slices.DeleteFunc(waits, func(w waiting) bool { return w.id == id })
				counted = append(counted, first)
			}
		case n < 9 && len(counted) > 0:
			i := rng.IntN(len(counted))
			w := waiting{now + time.Duration(rng.IntN(50))*ms, seq, counted[i].id}
			seq++
			if !s.Sleep(w.id, w.due) {
				t.Fatalf("%d was not counted", w.id)
			}
			counted = slices.Delete(counted, i, i+1)
			waits = append(waits, w)
		case n == 9 && len(waits)+len(counted) > 0:
			all := &waits
			if rng.IntN(2) == 0 && len(counted) > 0 || len(waits) == 0 {
				all = &counted
			}
			i := rng.IntN(len(*all))
			if !s.Remove((*all)[i].id) {
				t.Fatalf("%d was not there", (*all)[i].id)
			}
			*all = slices.Delete(*all, i, i+1)
		}
		if c, w := s.Len(); c != len(counted) || w != len(waits) {
			t.Fatalf("%d counted and %d waiting, want %d and %d", c, w, len(counted), len(waits))
		}
	}
	got := slices.Sorted(s.Counted())
	var want []int
	for _, w := range counted {
		want = append(want, w.id)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestCountedWhileItChanges: a loop that puts sites to sleep, or removes them, still
// comes by all of them, once.
func TestCountedWhileItChanges(t *testing.T) {
	r := testRules(t, Options{CountedMax: 50})
	s := r.Scheduler()
	for range 50 {
		s.Add()
		s.Next(0)
	}
	var seen []int
	for id := range s.Counted() {
		seen = append(seen, id)
		switch id % 3 {
		case 0:
			s.Sleep(id, 0)
		case 1:
			s.Remove(id)
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 50 {
		t.Errorf("%d of 50 sites seen", len(seen))
	}
	if c, _ := s.Len(); c != 16 {
		t.Errorf("%d still counted, want 16", c)
	}
	for id := range s.Counted() { // ends early
		if id%3 != 2 {
			t.Errorf("%d is counted", id)
		}
		break
	}
}

func TestSchedulerNoAllocations(t *testing.T) {
	r := testRules(t, Options{})
	s := r.Scheduler()
	for range 2000 {
		s.Add()
	}
	now := time.Duration(0)
	poll := func() {
		now += 10 * ms
		for id := range s.Counted() {
			s.Sleep(id, now+10*ms)
		}
		for _, ok := s.Next(now); ok; _, ok = s.Next(now) {
		}
	}
	poll()
	poll()
	if n := testing.AllocsPerRun(10, poll); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLook(b *testing.B) {
	r := testRules(b, Options{})
	s := in(r, fnA, fnB)
	lines := make([]Line, 16)
	for range b.N {
		s.Look(lines, ms)
	}
}

func BenchmarkPoll(b *testing.B) {
	r := testRules(b, Options{})
	s := r.Scheduler()
	for range 20000 {
		s.Add()
	}
	now := time.Duration(0)
	for range b.N {
		now += 10 * ms
		for id := range s.Counted() {
			s.Sleep(id, now+time.Second)
		}
		for _, ok := s.Next(now); ok; _, ok = s.Next(now) {
		}
	}
}
