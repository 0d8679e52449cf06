package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// report is what a hammer prints.
type report struct {
	Flips    int              `json:"flips"`
	Checks   uint64           `json:"checks"`   // made in all
	Verified uint64           `json:"verified"` // rounds that lay between two flips
	Wrong    uint64           `json:"wrong"`    // of these, saw the wrong value
	First    string           `json:"first"`    // the first wrong one
	Sites    int              `json:"sites"`
	Armed    int              `json:"armed"`
	Status   quietpatch.State `json:"status"`
	Seconds  float64          `json:"seconds"`
}

// seen is the last epoch in which a worker verified a round.
var seen atomic.Uint64

// epoch is odd while a flip is under way; epoch/2 is the number of flips done,
// and the key is on after an odd number of them. A round of checks that reads
// the same even epoch before and after started after the last flip returned
// and ended before the next began: it must see that flip's value and no other.
var epoch atomic.Uint64

type tally struct {
	checks, verified, wrong atomic.Uint64
	first                   atomic.Pointer[string]
}

func hammer(args []string) (any, error) {
	fs := flags("hammer")
	strategy := fs.String("strategy", "", "store, int3 or one-at-a-time")
	backend := fs.String("backend", "", "procmem, alias or none")
	flips := fs.Int("flips", 1000, "how often to flip")
	limit := fs.Duration("limit", time.Minute, "stop flipping after this time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure(*strategy, *backend); err != nil {
		return nil, err
	}
	var t tally
	done := make(chan struct{})
	var wg sync.WaitGroup
	stopNoise, err := noise(done, &wg)
	if err != nil {
		return nil, err
	}
	t.start(done, &wg)
	start := time.Now()
	n, err := t.flipMany(*flips, *limit)
	r := report{Flips: n, Seconds: time.Since(start).Seconds()}
	close(done)
	wg.Wait()
	stopNoise()
	r.Checks, r.Verified, r.Wrong = t.checks.Load(), t.verified.Load(), t.wrong.Load()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	r.Status = quietpatch.Status()
	ss, _ := hammerKey.Sites()
	r.Sites = len(ss)
	for _, s := range ss {
		if s.State == "armed" {
			r.Armed++
		}
	}
	return r, err
}

// flipMany flips the key and, after every flip, makes a round of checks on its
// own thread and waits for a worker to have made one.
func (t *tally) flipMany(flips int, limit time.Duration) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	deadline := time.Now().Add(limit)
	var s scratch
	for i := range flips {
		epoch.Add(1)
		err := hammerKey.Set(epoch.Load()/2%2 == 0)
		now := epoch.Add(1)
		if err != nil {
			return i, fmt.Errorf("flip %d: %w", i, err)
		}
		t.round(&s)
		for spins := 0; seen.Load() != now; spins++ {
			if spins%1000 == 999 {
				if time.Now().After(deadline) {
					return i + 1, nil
				}
				runtime.Gosched()
			}
		}
	}
	return flips, nil
}

// start keeps all CPUs busy with checks: one worker per CPU on a thread of its
// own, and goroutines that come and go. There are more running threads than
// CPUs, so the kernel takes the CPU from them anywhere, also between a trap and
// its handler.
func (t *tally) start(done <-chan struct{}, wg *sync.WaitGroup) {
	n := runtime.NumCPU()
	runtime.GOMAXPROCS(2*n + 4)
	for range n {
		wg.Go(func() {
			runtime.LockOSThread()
			t.work(done)
		})
	}
	for range 2 * n {
		wg.Go(func() {
			var s scratch
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					for range 100 {
						t.round(&s)
						runtime.Gosched()
					}
				}
			}
		})
	}
}

// work makes rounds of checks until done.
func (t *tally) work(done <-chan struct{}) {
	var s scratch
	for {
		select {
		case <-done:
			return
		default:
			if at, ok := t.round(&s); ok {
				seen.Store(at)
			}
		}
	}
}

// round makes every check once. If no flip was under way it verifies what the
// checks saw, and returns the epoch.
func (t *tally) round(s *scratch) (at uint64, verified bool) {
	before := epoch.Load()
	on := 0
	for i := range checkFuncs {
		on += checkFuncs[i].f(s)
	}
	t.checks.Add(uint64(roundChecks))
	if before%2 != 0 || epoch.Load() != before {
		return before, false
	}
	t.verified.Add(1)
	if expect := roundChecks * int(before/2%2); on != expect {
		t.wrong.Add(1)
		what := fmt.Sprintf("a round saw %d checks on, expected %d, at epoch %d", on, expect, before)
		t.first.CompareAndSwap(nil, &what)
	}
	return before, true
}

// noise is everything that could disturb a thread between a compare and its
// jump: collections, profiling signals, all other signals, stacks that grow.
func noise(done <-chan struct{}, wg *sync.WaitGroup) (stop func(), err error) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		return nil, err
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c)
	wg.Go(func() {
		for {
			select {
			case <-c:
			case <-done:
				return
			}
		}
	})
	wg.Go(func() {
		for n := 1; ; n = n%1000 + 1 {
			select {
			case <-done:
				return
			default:
				runtime.KeepAlive(make([]byte, 1<<16))
				grow(n)
				if n%4 == 0 {
					runtime.GC()
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
	return func() { pprof.StopCPUProfile(); signal.Stop(c) }, nil
}

// grow needs n kilobytes of stack, with a check in every frame.
//
//go:noinline
func grow(n int) int {
	var pad [1024]byte
	if n == 0 {
		return int(pad[0])
	}
	if otherKey.Enabled() {
		pad[1] = 1
	}
	return grow(n-1) + int(pad[n%1024])
}

// siteReport is what `prog sites` prints.
type siteReport struct {
	Keys   []statickey.Key             `json:"keys"`
	Sites  map[string][]statickey.Site `json:"sites"`
	RWX    []string                    `json:"rwx"` // mappings that are writable and executable
	Status quietpatch.State            `json:"status"`
}

func sites([]string) (any, error) {
	r := siteReport{Sites: map[string][]statickey.Site{}}
	if err := quietpatch.Arm(); err != nil {
		fmt.Fprintln(os.Stderr, "prog: not armed:", err)
	}
	for name, sites := range map[string]func() ([]statickey.Site, error){
		"prog.hammer": hammerKey.Sites, "prog.other": otherKey.Sites, "prog.wait": waitKey.Sites,
		"prog.int32": num32.Sites, "prog.int64": num64.Sites, "prog.uint32": numU32.Sites, "prog.duration": numD.Sites,
		"prog.counted": countedKey.Sites, "prog.sealed": sealedKey.Sites,
	} {
		ss, err := sites()
		if err != nil {
			fmt.Fprintln(os.Stderr, "prog: no sites:", err)
		}
		r.Sites[name] = ss
	}
	r.Keys = statickey.Keys()
	r.Status = quietpatch.Status()
	r.RWX = writableCode()
	return r, nil
}

// writableCode returns the mappings that are writable and executable.
func writableCode() (found []string) {
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "rwx") {
			found = append(found, line)
		}
	}
	return found
}
