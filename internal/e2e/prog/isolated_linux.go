package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() { programs["isolated"] = isolatedHammer }

// isolatedReport is what the hammer of isolation prints.
type isolatedReport struct {
	Flips     uint64           `json:"flips"`
	Updates   uint64           `json:"updates"`
	Sessions  uint64           `json:"sessions"` // Runs
	Rounds    uint64           `json:"rounds"`   // in KERNEL, by the isolated thread
	Verified  uint64           `json:"verified"` // rounds of whomever that no change overlapped
	Wrong     uint64           `json:"wrong"`
	First     string           `json:"first"`
	Steps     map[string]int   `json:"steps"`    // of the isolated thread
	Noise     map[string]int   `json:"noise"`    // of the others
	SealedBad uint64           `json:"sealed"`   // checks of a sealed key in isolation that were wrong
	Deferred  uint64           `json:"deferred"` // syncs that were left to the thread
	CatchUps  uint64           `json:"catch_ups"`
	Why       string           `json:"why"`  // nobody was spared; "" if somebody was
	Text      string           `json:"text"` // how the text differs from the file after Disarm
	Status    quietpatch.State `json:"status"`
	Seconds   float64          `json:"seconds"`
}

// lastCPU returns the last CPU that the process may run on, if it is not the only one.
func lastCPU() (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, err
	}
	if set.Count() < 2 {
		return 0, fmt.Errorf("%s: the process may run on %d", needsCPUs, set.Count())
	}
	for cpu := len(set)*64 - 1; ; cpu-- {
		if set.IsSet(cpu) {
			return cpu, nil
		}
	}
}

const needsCPUs = "needs 2 CPUs"

// reserveLast reserves it.
func reserveLast() (int, error) {
	cpu, err := lastCPU()
	if err != nil {
		return 0, err
	}
	_, err = isolate.Reserve(fmt.Sprint(cpu))
	return cpu, err
}

// armAll is quietpatch.Arm; where text is not patched at all that is no error, and the state says so.
func armAll() error {
	err := quietpatch.Arm()
	if quietpatch.Status().Mode == "memory" {
		return nil
	}
	return err
}

// threadOn returns what Status says of the thread that is isolated on the CPU, or was.
func threadOn(cpu int) isolate.ThreadState {
	for _, t := range isolate.Status().Threads {
		if t.CPU == cpu {
			return t
		}
	}
	return isolate.ThreadState{}
}

// isolated is one run: a thread goes in and out of isolation at random, with checks and calls
// outside only, while others change everything.
type isolated struct {
	cpu     int
	end     time.Time
	seed    uint64
	noGC    bool
	t       tally
	calls   callTally
	up      updater
	enough  chan struct{}
	thread  atomic.Int32 // its number, 0 while there is none
	stopped atomic.Bool  // the world of the others: the isolated thread ends

	flips, updates, sessions, rounds, sealedBad atomic.Uint64

	mu    sync.Mutex
	steps map[string]int
	noise map[string]int
	why   string
	err   error
}

func isolatedHammer(args []string) (any, error) {
	h := &isolated{enough: make(chan struct{}), steps: map[string]int{}, noise: map[string]int{}}
	fs := flags("isolated")
	strategy := fs.String("strategy", "", "store or int3")
	backend := fs.String("backend", "", "procmem or alias")
	limit := fs.Duration("for", time.Second, "how long")
	fs.Uint64Var(&h.seed, "seed", 1, "of the random choices")
	fs.BoolVar(&h.noGC, "nogc", false, "never collect garbage: stubs are freed by looks at all threads")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if h.noGC {
		debug.SetGCPercent(-1)
	}
	file, err := readText()
	if err != nil {
		return nil, err
	}
	h.up = updater{t: &h.calls, rnd: rand.New(rand.NewPCG(h.seed, 1)), kinds: map[string]int{}}
	if err := errors.Join(configure(*strategy, *backend), sealFirst(), armAll()); err != nil {
		return nil, err
	}
	if h.cpu, err = reserveLast(); err != nil {
		return nil, err
	}
	start := time.Now()
	h.end = start.Add(*limit)
	h.run()
	r := h.report()
	r.Seconds = time.Since(start).Seconds()
	if err := errors.Join(h.err, quietpatch.Disarm()); err != nil {
		return nil, err
	}
	r.Text = file.differs()
	return r, nil
}

// run starts everything. The isolated thread ends last: the others wait for nothing of it, but
// what they leave to it has to be done.
func (h *isolated) run() {
	var others, thread sync.WaitGroup
	for i, f := range []func(r *rand.Rand){h.flip, h.update, h.unmap, h.collect, h.storm, h.bystander} {
		others.Go(func() { f(rand.New(rand.NewPCG(h.seed, 100+uint64(i)))) })
	}
	thread.Go(func() { h.isolate(rand.New(rand.NewPCG(h.seed, 200))) })
	for time.Now().Before(h.end) || !h.hit() {
		time.Sleep(time.Millisecond)
		if h.failed() != nil || h.t.wrong.Load()+h.calls.wrong.Load() > 0 || time.Now().After(h.end.Add(isolatedPatience)) {
			break
		}
	}
	close(h.enough)
	others.Wait()
	h.stopped.Store(true)
	thread.Wait()
}

// isolatedPatience is for machines with other things to do.
const isolatedPatience = 2 * time.Minute

// hit reports whether there was enough of everything.
func (h *isolated) hit() bool {
	const enough = 20
	t, s := threadOn(h.cpu), quietpatch.Status()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range isolatedSteps {
		if h.steps[name] == 0 {
			return false
		}
	}
	for _, name := range isolatedNoise {
		if h.noise[name] == 0 && !(h.noGC && name == "collections") {
			return false
		}
	}
	if h.noGC && h.why == "" && s.Counters.GraceVisits == 0 {
		return false
	}
	return min(h.flips.Load(), h.updates.Load(), h.rounds.Load(), h.t.verified.Load(), h.calls.verified.Load()) >= enough &&
		h.sessions.Load() > 1 && (h.why != "" || min(t.Deferred, t.CatchUps) >= enough)
}

func (h *isolated) over() bool {
	select {
	case <-h.enough:
		return true
	default:
		return h.failed() != nil
	}
}

func (h *isolated) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// fail keeps the first error; nil is none.
func (h *isolated) fail(what string, err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (h *isolated) count(of map[string]int, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of[name]++
}

func (h *isolated) report() *isolatedReport {
	t := threadOn(h.cpu)
	r := &isolatedReport{
		Flips: h.flips.Load(), Updates: h.updates.Load(), Sessions: h.sessions.Load(), Rounds: h.rounds.Load(),
		Verified: h.t.verified.Load() + h.calls.verified.Load(), Wrong: h.t.wrong.Load() + h.calls.wrong.Load(),
		Steps: h.steps, Noise: h.noise, SealedBad: h.sealedBad.Load(), Deferred: t.Deferred, CatchUps: t.CatchUps, Why: h.why,
		Status: quietpatch.Status(),
	}
	for _, p := range []*string{h.t.first.Load(), h.calls.first.Load()} {
		if p != nil {
			r.First = *p
		}
	}
	return r
}
