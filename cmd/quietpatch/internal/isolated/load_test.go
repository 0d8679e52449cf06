package isolated

import (
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
)

// TestLoad: what runs beside the flips ends, and says what failed.
func TestLoad(t *testing.T) {
	store, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	// The test binary fails with a flag that it does not know.
	l := startLoad(t.Context(), store, servers(2), []string{"--no-such-flag"})
	l.collect()
	for end := time.Now().Add(10 * time.Second); l.problem.Load() == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan struct{})
	go func() { l.end(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the load goes on")
	}
	if l.problem.Load() == nil || l.processes.Load() != 0 {
		t.Errorf("problem %v, %d processes; want one, 0", l.problem.Load(), l.processes.Load())
	}
}

func TestProcessMain(t *testing.T) {
	if err := ProcessMain(); err != nil {
		t.Error(err)
	}
}

// TestSums: all functions to which the call is led take the same arguments, and differ.
func TestSums(t *testing.T) {
	seen := map[uint32]bool{}
	for i, f := range sums {
		if err := sum.Update(f); err != nil {
			t.Fatal(err)
		}
		got := Sum([]byte("abc"))
		if want := f([]byte("abc")); got != want || seen[got] {
			t.Errorf("function %d: the call returns %d, the function %d", i, got, want)
		}
		seen[got] = true
	}
}
