//go:build linux && amd64 && !race

package trap

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestCall: the trap byte stands for a call, for the jumps that calls are turned into, and
// for a NOP.
func TestCall(t *testing.T) {
	install(t)
	at, callee := probeAddr(), calleeAddr()
	behind := at + probeLen
	for _, c := range []struct {
		name   string
		en     Entry
		zf, bx uint64
	}{
		{"a call", Entry{Resume: callee, Push: behind}, 0, calleeValue},
		{"a NOP", Entry{Resume: behind}, 1, 0},
		// Lands behind the site, and returns into the callee: the address that was pushed is
		// the one that is popped, and the caller's own lies under it.
		{"pushed, not called", Entry{Resume: behind, Push: callee}, 1, calleeValue},
		// Two returns: from the callee to the callee, from there to the caller.
		{"a call from the callee", Entry{Resume: callee, Push: callee}, anyZF, calleeValue},
		{"a tail jump", Entry{Resume: callee}, anyZF, calleeValue},
		{"flags and a register as well", Entry{Resume: behind, Push: behind, Slot: Slot(regBX), Value: 7, FlagsClear: flagZF}, 0, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			en := c.en
			en.Addr = at
			if en.Slot == 0 {
				en.Slot = NoSlot
			}
			if err := Publish([]Entry{en}); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if zf, bx := probe(); bx != c.bx || zf != c.zf && c.zf != anyZF {
					t.Fatalf("ZF=%d BX=%#x, expected ZF=%d BX=%#x", zf, bx, c.zf, c.bx)
				}
			}
			Retire()
		})
	}
}

// anyZF: the site is not come back to, which reads ZF.
const anyZF = 2

// TestCallStack: a call on a stack that grows and moves leaves everything else on it alone.
func TestCallStack(t *testing.T) {
	install(t)
	at := probeAddr()
	if err := Publish([]Entry{{Addr: at, Resume: calleeAddr(), Push: at + probeLen, Slot: NoSlot}}); err != nil {
		t.Fatal(err)
	}
	defer Retire()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if n := probeDeep(500); n != 501 {
				t.Errorf("%d good probes, expected 501", n)
			}
		})
	}
	wg.Wait()
}

//go:noinline
func probeDeep(n int) int {
	var words [32]uint64
	for i := range words {
		words[i] = uint64(n + i)
	}
	zf, bx := probe()
	good := 0
	if zf == 0 && bx == calleeValue {
		good = 1
	}
	if n > 0 {
		good += probeDeep(n - 1)
	}
	for i, w := range words {
		if w != uint64(n+i) {
			return -1 << 20
		}
	}
	return good
}

// TestChangingCalls is TestChangingVector for calls: the address to push comes from the
// same version of the entry as all the rest. A mixture would be seen: 2 in BX, without the
// call that follows it.
func TestChangingCalls(t *testing.T) {
	install(t)
	at := probeAddr()
	behind := at + probeLen
	vectors := [2][]Entry{
		{{Addr: at, Resume: behind, Slot: Slot(regBX), Value: 1, FlagsClear: flagZF}},
		{{Addr: at, Resume: behind, Slot: Slot(regBX), Value: 2, FlagsClear: flagZF, Push: calleeAddr()}},
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))))
	publishNth := func(n int) {
		if err := Publish(vectors[n%2]); err != nil {
			t.Error(err)
		}
	}
	publishNth(0)
	before := Counters()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if zf, bx := probe(); zf != 0 || bx != 1 && bx != calleeValue {
					t.Errorf("ZF=%d BX=%#x", zf, bx)
					return
				}
			}
		})
	}
	var c Counts
	for n, deadline := 0, time.Now().Add(20*time.Second); time.Now().Before(deadline); n++ {
		publishNth(n)
		if c = Counters(); c.Hits-before.Hits > 20_000 && c.Retried-before.Retried > 50 {
			break
		}
	}
	close(stop)
	wg.Wait()
	Retire()
	t.Logf("hits %d, retried %d", c.Hits-before.Hits, c.Retried-before.Retried)
	if c.Hits == before.Hits || c.Retried == before.Retried {
		t.Error("no thread trapped, or none while the vector changed")
	}
}
