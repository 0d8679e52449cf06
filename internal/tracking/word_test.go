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
			if w, ok = l.Enter(w, User); !ok || w.State() != User || w.Work() != 0 || w.Count()%2 != 1 {
				t.Fatalf("%+v, round %d: entered %#x, %v", l, i, w, ok)
			}
			if _, ok := l.Enter(w, Guest); ok {
				t.Fatalf("%+v: entered twice", l)
			}
			if !Passed(before, w) || !Passed(w, w) {
				t.Fatalf("%+v: a thread in User has not passed", l)
			}
			if w, ok = w.SetWork(Sync); !ok {
				t.Fatalf("%+v: work was refused in User", l)
			}
			w, _ = w.SetWork(Unmap)
			var owed Work
			if w, owed = l.Leave(w); owed != Sync|Unmap || w.State() != Kernel || w.Work() != 0 || w.Count()%2 != 0 {
				t.Fatalf("%+v, round %d: left %#x, owed %d", l, i, w, owed)
			}
			if again, owed := l.Leave(w); again != w || owed != 0 {
				t.Fatalf("%+v: left twice: %#x, owed %d", l, again, owed)
			}
			if Passed(w, w) {
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
		if w.State() != Idle || w.Count() > 3 {
			t.Fatalf("%#x", w)
		}
		w, _ = l.Leave(w)
		if w>>(countAt+2) != 0 || w.Work() != 0 {
			t.Fatalf("%#x", w)
		}
	}
}
