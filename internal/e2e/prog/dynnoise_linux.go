package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
	"github.com/quietpatch/quietpatch/statickey"
)

// dynNoise disturbs once, and says how long to wait until the next time.
type dynNoise func(h *dynHammered, n int, rnd *rand.Rand) time.Duration

var dynNoises = map[string]dynNoise{
	"gc":       func(*dynHammered, int, *rand.Rand) time.Duration { runtime.GC(); return 2 * time.Millisecond },
	"procs":    dynProcs,
	"profile":  dynProfile,
	"trace":    dynTrace,
	"memstats": dynMemstats,
	"disarm":   dynDisarm,
	"restart":  dynRestart,
	"keys":     dynKeys,
	"calls":    dynStaticCalls,
	"exec":     dynExec,
}

// disturb starts the noises that were asked for. They end when h is done.
func (h *dynHammered) disturb(wg *sync.WaitGroup) {
	for i, name := range strings.Split(h.o.noise, ",") {
		f := dynNoises[name]
		if f == nil {
			continue
		}
		rnd := rand.New(rand.NewPCG(h.o.seed, uint64(i)+10))
		count := new(atomic.Int64)
		h.counts.Store(name, count)
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-h.done:
					return
				case <-time.After(f(h, n, rnd)):
					count.Add(1)
				}
			}
		})
	}
}

func (h *dynHammered) check(what string, err error) {
	if err != nil {
		h.tally.fail("%s: %v", what, err)
	}
}

func dynProcs(_ *dynHammered, _ int, rnd *rand.Rand) time.Duration {
	runtime.GOMAXPROCS(1 + rnd.IntN(2*runtime.NumCPU()+4))
	return 5 * time.Millisecond
}

// startProfile takes a CPU profile into a file, "" for none, at ten times the usual rate.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	runtime.SetCPUProfileRate(profileHz)
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// dynProfile takes a profile, and the stacks of all goroutines.
func dynProfile(h *dynHammered, _ int, _ *rand.Rand) time.Duration {
	var b bytes.Buffer
	if h.o.profile == "" {
		h.check("profile", pprof.StartCPUProfile(&b))
		time.Sleep(150 * time.Millisecond)
		pprof.StopCPUProfile()
	}
	h.check("goroutines", pprof.Lookup("goroutine").WriteTo(io.Discard, 2))
	return time.Millisecond
}

func dynTrace(h *dynHammered, _ int, _ *rand.Rand) time.Duration {
	h.check("trace", trace.Start(io.Discard))
	time.Sleep(20 * time.Millisecond)
	trace.Stop()
	return 30 * time.Millisecond
}

func dynMemstats(*dynHammered, int, *rand.Rand) time.Duration {
	runtime.ReadMemStats(new(runtime.MemStats))
	return time.Millisecond
}

// dynDisarm disarms and arms again. The learner may notice, or not.
func dynDisarm(h *dynHammered, n int, rnd *rand.Rand) time.Duration {
	h.check("Disarm", quietpatch.Disarm())
	if n%16 == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	_ = quietpatch.Arm()
	return time.Millisecond * time.Duration(20+rnd.IntN(80))
}

// dynRestart stops, looks whether all calls are what they were, and starts anew.
func dynRestart(h *dynHammered, n int, rnd *rand.Rand) time.Duration {
	h.lookAtStubs()
	sites := dyncall.Sites()
	h.found(sites)
	h.check("Stop", dyncall.Stop())
	if d := h.text.callsDiffer(sites); d != "" {
		h.tally.fail("after Stop %d: %s", n, d)
	}
	if dyncall.Stats().Running {
		h.tally.fail("running after Stop")
	}
	h.check("Start", dyncall.Start(h.options(n)))
	return time.Millisecond * time.Duration(50+rnd.IntN(250))
}

func dynKeys(h *dynHammered, n int, _ *rand.Rand) time.Duration {
	h.check("Set", hammerKey.Set(n%2 == 0))
	var s scratch
	if on := roundOnce(&s); on != roundChecks*count(n%2 == 0) {
		h.tally.fail("%d of %d checks are on after Set(%v)", on, roundChecks, n%2 == 0)
	}
	return time.Millisecond
}

func dynStaticCalls(h *dynHammered, n int, _ *rand.Rand) time.Duration {
	f, want := newWork(n%callKindCount, uint64(n)+100)
	var b statickey.Batch
	work.UpdateIn(&b, f)
	h.check("Update", b.Apply())
	if got, _, _, _ := Work(&mark{}, 1, nil, 1); got != want {
		h.tally.fail("static call %d returned %d, expected %d", n, got, want)
	}
	return time.Millisecond
}

func dynExec(h *dynHammered, n int, _ *rand.Rand) time.Duration {
	cmd := exec.Command("/bin/sh", "-c", "echo $0", "child")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: n%2 == 0, Pdeathsig: []syscall.Signal{0, syscall.SIGKILL}[n/2%2]}
	if n%3 == 0 {
		cmd.Dir = "/"
	}
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "child\n" {
		h.tally.fail("exec: %q, %v", out, err)
	}
	return time.Microsecond
}
