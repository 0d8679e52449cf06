package isolate_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/staticcall"
)

func init() {
	scenarios["breaker"] = scenarioBreaker
	scenarios["burn"] = scenarioBurn
}

// TestBreaker: a thread that calls closures while it is isolated, which it must not, gets an
// old one or a new one, and no stub is freed under it, wherever it is descheduled: not while it stays
// isolated, and not when it crosses now and then.
func TestBreaker(t *testing.T) {
	for _, strategy := range []string{"int3", "store"} {
		for _, way := range []string{"stays", "crosses"} {
			if testing.Short() && strategy == "store" {
				continue
			}
			t.Run(strategy+", "+way, func(t *testing.T) { scenario(t, []string{"QUIETPATCH_STRATEGY=" + strategy}, "breaker", way) })
		}
	}
}

var brokenCall = staticcall.New(func(x uint64) (tag, sum uint64) { return 0, 3 * x })

//go:noinline
func broken(x uint64) (tag, sum uint64) { return brokenCall.Func()(x) }

// breaker runs calls without end. Between two crossings are so many that it is descheduled.
func breaker(t *isolate.Thread, crosses bool, stop *atomic.Bool) {
	for x := uint64(0); !stop.Load(); x++ {
		if tag, sum := broken(x); sum != 3*x+tag {
			fail("called with %d: expected the sum %d, found %d", x, 3*x+tag, sum)
		}
		if crosses && x%(1<<20) == 0 {
			t.Kernel(func() {})
		}
	}
}

func scenarioBreaker(c *child) {
	debug.SetGCPercent(-1) // stubs are freed by looks
	c.reserve()
	fresh := func(n uint64) func(x uint64) (tag, sum uint64) {
		return func(x uint64) (uint64, uint64) { return n, 3*x + n }
	}
	must(brokenCall.Update(fresh(1)))
	must(quietpatch.Arm())
	var stop atomic.Bool
	crosses := c.args[0] == "crosses"
	ended := c.apart(isolate.Options{BlockSignals: true}, func(t *isolate.Thread) { breaker(t, crosses, &stop) })
	if yes, why := spares(); !yes {
		skip("nobody is spared: " + why)
	}
	defer c.burn()()
	looks := quietpatch.Status().Counters.GraceVisits
	n := uint64(2)
	for over := false; !over && n < 1<<18; n++ { // some ten times what it takes
		must(brokenCall.Update(fresh(n)))
		if n%1024 == 0 {
			s := quietpatch.Status()
			over = crosses && s.Counters.GraceVisits-looks >= 5 || !crosses && len(problems("Thread.Kernel")) > 0
		}
	}
	s := quietpatch.Status()
	fmt.Printf("%d updates, %+v, %+v\n", n, s.Stubs, s.Counters)
	who := fmt.Sprintf("thread %d on CPU %d", c.thread().TID, c.cpu)
	if !crosses && (len(s.Problems) != 1 || len(problems(who)) != 1) {
		fail("expected %q to be named once, found %q", who, s.Problems)
	}
	stop.Store(true)
	<-ended
}

// burn makes somebody else take the isolated CPU away, again and again.
func (c *child) burn() (end func()) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), scenarioEnv+"=burn "+fmt.Sprint(c.cpu))
	runtime.LockOSThread() // whose end is the child's
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(cmd.Start())
	return func() {
		must(cmd.Process.Kill())
		_ = cmd.Wait()
		runtime.UnlockOSThread()
	}
}

func scenarioBurn(c *child) {
	runtime.LockOSThread()
	var cpu int
	_, err := fmt.Sscan(c.args[0], &cpu)
	must(err)
	var set unix.CPUSet
	set.Set(cpu)
	must(unix.SchedSetaffinity(0, &set))
	for {
		spin(1000)
	}
}
