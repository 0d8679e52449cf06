//go:build linux && amd64 && !race

package staticcall_test

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/staticcall"
)

var hammered = staticcall.New(func(x int) int { return x })

//go:noinline
func Hammered(x int) int { return hammered.Func()(x) }

// TestIsolatedSpins: with an isolated thread that runs Go code and takes no signals, stubs
// are freed without stopping the world, and without disturbing it.
func TestIsolatedSpins(t *testing.T) {
	const mark = "STATICCALL_TEST_ISOLATED"
	if os.Getenv(mark) != "" {
		isolatedSpins(t)
		return
	}
	if testing.Short() {
		t.Skip("short: twelve thousand updates")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs 2 CPUs")
	}
	const noPreemption = "GODEBUG=asyncpreemptoff=1" // no SIGURG but ours
	for _, env := range [][]string{
		{"QUIETPATCH_STRATEGY=store", noPreemption},
		{"QUIETPATCH_STRATEGY=int3", "QUIETPATCH_CONTEXT_BITS=2"},
	} {
		t.Run(env[0], func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestIsolatedSpins$", "-test.v", "-test.timeout=45s")
			cmd.Env = append(append(os.Environ(), mark+"=1"), env...)
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func isolatedSpins(t *testing.T) {
	if err := hammered.Update(func(x int) int { return 2 * x }); err != nil {
		t.Fatal(err)
	}
	if s := quietpatch.Status(); s.Mode == "memory" {
		t.Skip("needs text that can be patched: ", s.Reason)
	}
	debug.SetGCPercent(-1)
	cpu := runtime.NumCPU() - 1
	r, err := isolate.Reserve(strconv.Itoa(cpu))
	if err != nil {
		t.Skip("needs a CPU that can be reserved: ", err)
	}
	defer r.Release()
	var stop atomic.Bool
	var tid, turns atomic.Int64
	ended := make(chan error, 1)
	go func() {
		ended <- isolate.Run(isolate.Options{CPU: cpu, BlockSignals: true}, func(th *isolate.Thread) {
			th.Kernel(func() { tid.Store(int64(unix.Gettid())) })
			for !stop.Load() {
				if turns.Add(1)%10_000 == 0 {
					th.Kernel(func() { Hammered(1) })
				}
			}
		})
	}()
	for tid.Load() == 0 {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
			runtime.Gosched()
		}
	}
	hammer(t)
	b, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(int(tid.Load())) + "/status")
	if err != nil || os.Getenv("GODEBUG") != "" && !strings.Contains(string(b), "SigPnd:\t0000000000000000") {
		t.Errorf("the isolated thread was sent a signal: %v\n%s", err, b)
	}
	before := turns.Load()
	for turns.Load() == before {
		runtime.Gosched()
	}
	stop.Store(true)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// hammer gives the call 12,000 closures, one after the other, while others call it.
func hammer(t *testing.T) {
	const updates = 12_000
	var stop atomic.Bool
	callers := make(chan int, 2)
	for range cap(callers) {
		go func() {
			wrong := 0
			for last := 0; !stop.Load(); runtime.Gosched() {
				n := Hammered(1)
				if n < last {
					wrong++
				}
				last = n
			}
			callers <- wrong
		}()
	}
	before := quietpatch.Status().Counters
	for i := range updates {
		if err := hammered.Update(func(x int) int { return x + 10 + i }); err != nil {
			t.Fatal(err)
		}
		if Hammered(1) != 11+i {
			t.Fatalf("update %d: %d", i, Hammered(1))
		}
	}
	stop.Store(true)
	for range cap(callers) {
		if wrong := <-callers; wrong > 0 {
			t.Errorf("%d calls saw an older closure after a newer one", wrong)
		}
	}
	s := quietpatch.Status()
	if s.Counters.GraceStops != before.GraceStops || s.Counters.GraceVisits == before.GraceVisits {
		t.Errorf("%d stops of the world, %d looks at all threads", s.Counters.GraceStops-before.GraceStops, s.Counters.GraceVisits-before.GraceVisits)
	}
	if s.Stubs.Stubs > 2*4096+100 || s.Stubs.Stubs == 0 {
		t.Errorf("stubs: %+v", s.Stubs)
	}
	t.Logf("%d visits, stubs %+v, problems %q, isolation %+v", s.Counters.GraceVisits-before.GraceVisits, s.Stubs, s.Problems, s.Isolation)
}
