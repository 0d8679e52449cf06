package tracking

import "testing"

func TestTransitions(t *testing.T) {
	for _, l := range []Layout{{}, {CounterBits: CounterBitsMin}, {CounterBits: 7}} {
		var w Word
		for i := range 100 {
			if _, ok := w.SetWork(Sync); ok {
				t.Fatalf("%+v: work was set on a thread in Kernel", l)
			}
			before := w
			var ok bool
			if w, ok = l.Enter(w, User); !ok || w.State() != User || w.Work() != 0 || l.Count(w)%2 != 1 {
				t.Fatalf("%+v, round %d: entered %#x, %v", l, i, w, ok)
			}
			if _, ok := l.Enter(w, Guest); ok {
				t.Fatalf("%+v: entered twice", l)
			}
			if !l.Passed(before, w) || !l.Passed(w, w) {
				t.Fatalf("%+v: a thread in User has not passed", l)
			}
			if w, ok = w.SetWork(Sync); !ok {
				t.Fatalf("%+v: work was refused in User", l)
			}
			w, _ = w.SetWork(Unmap)
			if w = l.Leave(w); w.Work() != Sync|Unmap || w.State() != Kernel || l.Count(w)%2 != 0 {
				t.Fatalf("%+v, round %d: left %#x", l, i, w)
			}
			if again := l.Leave(w); again != w {
				t.Fatalf("%+v: left twice: %#x", l, again)
			}
			if _, ok := w.SetWork(Sync); ok {
				t.Fatalf("%+v: work was set on a thread in Kernel that owes work", l)
			}
			if w = w.Done(); w.Work() != 0 || w.State() != Kernel {
				t.Fatalf("%+v, round %d: done %#x", l, i, w)
			}
			if l.Passed(w, w) {
				t.Fatalf("%+v: a thread that stayed in Kernel has passed", l)
			}
		}
	}
}

// TestCounterStaysInItsBits: a counter that wraps must not reach work and state,
// nor the bits above its width.
func TestCounterStaysInItsBits(t *testing.T) {
	l := Layout{CounterBits: CounterBitsMin}
	var w Word
	for range 1000 {
		w, _ = l.Enter(w, Idle)
		w, _ = w.SetWork(Work(0xFF))
		if w.State() != Idle || l.Count(w) > 3 {
			t.Fatalf("%#x", w)
		}
		w = l.Leave(w).Done()
		if w&^(3<<62) != 0 {
			t.Fatalf("%#x", w)
		}
	}
}
