package sim

import (
	"math/rand/v2"
	"testing"
)

// TestTorture is rcutorture's TREE04 in small, with its counter of two bits: threads go in
// and out hundreds of times between two looks of the updater, which must never free what
// they read, and must get on.
func TestTorture(t *testing.T) {
	q := newQuiesce(World{Quiesce: QuiesceWorld{Threads: quiesceThreadsMax, Guest: true, Ends: true, Work: true}}, Mutant{})
	rng := rand.New(rand.NewPCG(1, 0))
	s := q.start()
	var buf []atom
	rounds, hidden, crossings := 0, 0, 0
	for range 3_000_000 {
		actor := 0
		if rng.IntN(500) > 0 {
			actor = 1 + rng.IntN(q.actors()-1)
		}
		if buf = q.atoms(&s, actor, buf[:0]); len(buf) == 0 {
			continue
		}
		a := buf[rng.IntN(len(buf))]
		before := s
		if q.apply(&s, a); q.found != nil {
			t.Fatalf("%s: %s", q.found.By, q.found.What)
		}
		if q.event == EventWrapped {
			hidden++
		}
		if before.phase == frees && s.phase == replaces {
			rounds++
		}
		if i := actor - 1; i >= 0 && i < quiesceThreadsMax && before.threads[i].crossed != s.threads[i].crossed {
			crossings++
		}
	}
	t.Logf("%d grace periods, %d crossings, %d looks that a wrapped counter deceived", rounds, crossings, hidden)
	if rounds < 100 || crossings < 100_000 || hidden < 100 {
		t.Errorf("%d grace periods, %d crossings, %d looks deceived: this tortures nobody", rounds, crossings, hidden)
	}
}
