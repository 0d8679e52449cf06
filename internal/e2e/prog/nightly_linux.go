package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
)

func init() { programs["nightly"] = runNightly }

// A nightly mixes every operation of the public API with everything that could
// disturb it, at random, and verifies all checks of all keys meanwhile.
type nightly struct {
	o     nightlyOptions
	start time.Time

	lockstep atomic.Bool  // another thread must verify a change before the next one
	inForce  atomic.Int32 // index in cells of the strategy in force
	cells    [len(nightlyCells)]cell
	kinds    [len(kindNames)]kindCount
	events   eventCount

	first atomic.Pointer[string] // the first wrong round
	fault atomic.Pointer[string] // the first error of a call; it ends the run
	enough, done,
	faulted chan struct{} // close in this order: flippers, checkers; faulted on the first error

	mu     sync.Mutex // of what follows
	traps  quietpatch.Counters
	noise  map[string]int
	storms atomic.Uint64
}

type nightlyOptions struct {
	seed     uint64
	backend  string
	d        time.Duration
	cthreads int
	profiles string
	kill     string
}

// nightlyCells are the strategies that Configure changes at run time; in the
// last one the keys are read from memory.
var nightlyCells = [...]string{"store", "int3", "one-at-a-time", "memory"}

const memoryCell = int32(len(nightlyCells) - 1)

// cell counts what happened under one strategy. A change that was under way
// while the strategy changed counts for the one it began with.
type cell struct {
	flips, batches, checks, verified, wrong atomic.Uint64
	arms, disarms, hits, late, retried      atomic.Uint64
}

// kindCount counts what happened to the keys of one kind.
type kindCount struct {
	flips, verified, wrong         atomic.Uint64
	noWait, refused, matched, held atomic.Uint64
}

// cellReport is a cell as JSON.
type cellReport struct {
	Strategy string `json:"strategy"`
	Backend  string `json:"backend"`
	Flips    uint64 `json:"flips"`    // keys that changed their value
	Batches  uint64 `json:"batches"`  // calls of Batch.Apply
	Checks   uint64 `json:"checks"`   // made in all
	Verified uint64 `json:"verified"` // rounds of checks of one key that no change overlapped
	Wrong    uint64 `json:"wrong"`
	Hits     uint64 `json:"trap_hits"`
	Late     uint64 `json:"trap_late"`
	Retried  uint64 `json:"trap_retried"`
	Arms     uint64 `json:"arms"`
	Disarms  uint64 `json:"disarms"`
}

// kindReport is a kind of keys as JSON.
type kindReport struct {
	Kind     string `json:"kind"`
	Flips    uint64 `json:"flips"`
	Verified uint64 `json:"verified"`
	Wrong    uint64 `json:"wrong"`
	NoWait   uint64 `json:"no_wait"` // changed without waiting, then synced
	Refused  uint64 `json:"refused"` // not possible without waiting
	Matched  uint64 `json:"matched"` // changed by a selector
	Held     uint64 `json:"held"`    // visits of users who saw it on all the time
}

// nightlyReport is printed once a second, one JSON value a line. Each holds all
// that happened so far; the last one has Final set.
type nightlyReport struct {
	Final    bool             `json:"final"`
	Killing  bool             `json:"killing"` // about to kill itself, as asked
	Seed     uint64           `json:"seed"`
	Seconds  float64          `json:"seconds"`
	Cells    []cellReport     `json:"cells"`
	Kinds    []kindReport     `json:"kinds"`
	Events   uint64           `json:"events"`   // batches that a subscriber heard of
	First    string           `json:"first"`    // the first wrong round
	Fault    string           `json:"fault"`    // the first error of a call
	Storms   uint64           `json:"storms"`   // keys that several goroutines set at once
	Noise    map[string]int   `json:"noise"`    // what else happened, how often
	Straddle int              `json:"straddle"` // sites that cross a 64-byte line
	Text     string           `json:"text"`     // how the text differs from the file after Disarm
	RWX      []string         `json:"rwx"`
	Status   quietpatch.State `json:"status"` // with all sites armed again, at the end
}

func runNightly(args []string) (any, error) {
	var o nightlyOptions
	fs := flags("nightly")
	fs.Uint64Var(&o.seed, "seed", 1, "of the random choices; threads interleave anew each time")
	fs.StringVar(&o.backend, "backend", "procmem", "procmem or alias")
	fs.DurationVar(&o.d, "for", time.Second, "how long")
	fs.IntVar(&o.cthreads, "c", 0, "threads that C starts (build with -tags=withcgo)")
	fs.StringVar(&o.profiles, "profiles", "", "write cpu, block and mutex profiles into this directory")
	fs.StringVar(&o.kill, "kill", "", "send itself KILL, ABRT or QUIT in the middle of a flip")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if o.cthreads > 0 && cThread == nil {
		return nil, errors.New("-c needs a build with -tags=withcgo")
	}
	h := newNightly(o)
	h.events.subscribe()
	if err := errors.Join(configure(nightlyCells[0], o.backend), sealFirst(), registerNightKeys(), quietpatch.Arm()); err != nil {
		return nil, err
	}
	stopProfiles, err := h.profile()
	if err != nil {
		return nil, err
	}
	h.run()
	return h.finish(), stopProfiles()
}

func newNightly(o nightlyOptions) *nightly {
	return &nightly{
		o: o, start: time.Now(), noise: map[string]int{},
		enough: make(chan struct{}), done: make(chan struct{}), faulted: make(chan struct{}),
	}
}

// run starts everything and stops it in order: whoever changes keys waits for
// the checkers, so the checkers end last.
func (h *nightly) run() {
	var flippers, checkers sync.WaitGroup
	h.startCheckers(&checkers)
	h.startNoise(&checkers)
	h.startFlippers(&flippers)
	h.startCThreads(&flippers)
	h.startVisitors(&flippers)
	flippers.Go(func() { h.direct(h.rng(100)) })
	checkers.Go(h.progress)
	if h.o.kill != "" {
		h.killSelf(h.rng(101))
	}
	select {
	case <-time.After(h.o.d):
	case <-h.faulted:
	}
	close(h.enough)
	flippers.Wait()
	close(h.done)
	checkers.Wait()
}

// rng returns a source of its own for each goroutine, so that a seed gives
// each the same choices again.
func (h *nightly) rng(id uint64) *rand.Rand { return rand.New(rand.NewPCG(h.o.seed, id)) }

func (h *nightly) fail(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if h.fault.CompareAndSwap(nil, &msg) {
		close(h.faulted)
	}
}

// over reports whether changes shall end.
func (h *nightly) over() bool {
	select {
	case <-h.enough:
		return true
	case <-h.faulted:
		return true
	default:
		return false
	}
}

// pause waits at random for up to limit: pacing, so that noise does not take
// all of the CPUs. It returns false at the end of the run.
func pause(r *rand.Rand, limit time.Duration, end <-chan struct{}) bool {
	t := time.NewTimer(time.Duration(r.Int64N(int64(limit))))
	defer t.Stop()
	select {
	case <-end:
		return false
	case <-t.C:
		return true
	}
}

// sample gives the traps since the last sample to the strategy in force.
func (h *nightly) sample() {
	s := quietpatch.Status()
	if s.Backend == string(quietpatch.BackendNone) {
		return // without a machine no traps are counted
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.cells[h.inForce.Load()]
	c.hits.Add(s.Counters.TrapHits - h.traps.TrapHits)
	c.late.Add(s.Counters.TrapLate - h.traps.TrapLate)
	c.retried.Add(s.Counters.TrapRetried - h.traps.TrapRetried)
	h.traps = s.Counters
}

// pickKeys returns n of the keys at random, in the order in which they are to be locked.
func pickKeys(r *rand.Rand, n int) []*nightKey {
	at := r.Perm(len(changingKeys))[:n]
	slices.Sort(at)
	ks := make([]*nightKey, n)
	for i, a := range at {
		ks[i] = changingKeys[a]
	}
	return ks
}
