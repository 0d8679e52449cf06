package sim

import "testing"

// TestWalk goes through larger worlds at random.
func TestWalk(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 200
	}
	traps, late, atoms := 0, 0, 0
	for i := range n {
		r := Walk(Seed(1, i), Mutant{})
		if v := r.Violation; v != nil {
			t.Fatalf("quietpatch sim --seed %#x: %v\n%s: %s\n%s", r.Seed, r.World, v.By, v.What, v.Trace.Columns(40))
		}
		traps, late, atoms = traps+r.Traps, late+r.Late, atoms+r.Atoms
	}
	t.Logf("%d walks, %d atoms, %d traps, %d late", n, atoms, traps, late)
	if traps < n || late < n/100 {
		t.Errorf("%d walks, %d traps, %d late: they meet nothing", n, traps, late)
	}
}

// TestWalkCatches: a walk sees the wrong protocols, too.
func TestWalkCatches(t *testing.T) {
	for _, m := range Mutants() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for i := range 20_000 {
				r := Walk(Seed(2, i), m)
				if v := r.Violation; v != nil {
					t.Logf("walk %d: %s: %d atoms shortened to %d", i, v.By, r.Atoms, len(v.Trace))
					if again := Walk(r.Seed, m); again.Violation == nil || again.Violation.What != v.What {
						t.Errorf("the same seed goes another way: %+v", again.Violation)
					}
					return
				}
			}
			t.Error("not caught")
		})
	}
}
