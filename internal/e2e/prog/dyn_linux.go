package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

func init() { programs["dyn"] = dynHammer }

// dynOptions are the flags of `prog dyn`.
type dynOptions struct {
	strategy, backend string
	relearnings       uint64
	limit             time.Duration
	workers           int
	seed              uint64
	noise             string
	quick, noGC       bool
	profile           string
	functions         string
}

func (o *dynOptions) parse(args []string) error {
	fs := flags("dyn")
	fs.StringVar(&o.strategy, "strategy", "", "store, int3 or one-at-a-time")
	fs.StringVar(&o.backend, "backend", "", "procmem, alias or none")
	fs.Uint64Var(&o.relearnings, "relearnings", 0, "stop after so many; 0: after -limit")
	fs.DurationVar(&o.limit, "limit", time.Minute, "stop after this time")
	fs.IntVar(&o.workers, "workers", 8, "goroutines that call")
	fs.Uint64Var(&o.seed, "seed", 1, "of the choices")
	fs.StringVar(&o.noise, "noise", "gc,procs,profile,trace,memstats,disarm,restart,keys,calls,exec", "what disturbs")
	fs.BoolVar(&o.quick, "quick", false, "calls that allocate nothing only")
	fs.BoolVar(&o.noGC, "nogc", false, "no garbage collection")
	fs.StringVar(&o.profile, "profile", "", "file for a CPU profile of the whole run")
	fs.StringVar(&o.functions, "functions", "", "pattern of the functions that are learned; none: now these, now all")
	return fs.Parse(args)
}

// dynReport is what the hammer prints.
type dynReport struct {
	Seconds     float64            `json:"seconds"`
	Calls       uint64             `json:"calls"`
	Wrong       uint64             `json:"wrong"`
	First       string             `json:"first"`
	Relearnings uint64             `json:"relearnings"`
	Noise       map[string]int     `json:"noise"` // how often each was made
	Sites       int                `json:"sites"` // indirect calls, of which
	Ours        int                `json:"ours"`  // the hammer's
	Learned     int                `json:"learned"`
	Bad         []string           `json:"bad"` // calls that must not have been found
	Stats       dyncall.Statistics `json:"stats"`
	Restored    string             `json:"restored"` // calls that differ from the file after Stop
	Text        string             `json:"text"`     // how the text does after Disarm
	RWX         []string           `json:"rwx"`
	StubsMax    stubUse            `json:"stubs_max"`
	StubsEnd    stubUse            `json:"stubs_end"`
	Status      quietpatch.State   `json:"status"`
}

// dynHammered is one run.
type dynHammered struct {
	o         dynOptions
	tally     dynTally
	relearned atomic.Uint64
	text      *dynText
	done      chan struct{}
	counts    sync.Map // of noises: *atomic.Int64

	mu       sync.Mutex
	stubsMax stubUse
	learned  int

	ours int // set by one goroutine at a time: restarts, then the end
	bad  []string
}

func dynHammer(args []string) (any, error) {
	h := &dynHammered{done: make(chan struct{})}
	if err := h.o.parse(args); err != nil {
		return nil, err
	}
	if err := configure(h.o.strategy, h.o.backend); err != nil {
		return nil, err
	}
	if h.o.noGC {
		debug.SetGCPercent(-1)
	}
	var err error
	if h.text, err = readText(); err != nil {
		return nil, err
	}
	if err := dyncall.Start(h.options(int(h.o.seed))); err != nil {
		return nil, err
	}
	stopProfile, err := startProfile(h.o.profile)
	if err != nil {
		return nil, err
	}
	var workers, noises sync.WaitGroup
	ended := make(chan struct{})
	start := time.Now()
	for i := range h.o.workers {
		workers.Go(func() { h.work(i, ended) })
	}
	h.disturb(&noises)
	h.wait(start)
	close(h.done)
	noises.Wait()
	r := &dynReport{Seconds: time.Since(start).Seconds()}
	err = errors.Join(h.end(r), stopProfile())
	close(ended) // callers go on calling until all is put back
	workers.Wait()
	h.report(r)
	return r, err
}

// options are those of the nth Start: impatient, so that calls are learned anew all the time.
func (h *dynHammered) options(n int) dyncall.Options {
	o := dyncall.Options{
		Targets: n%6 + 1, Misses: 10, CatchAll: []int{0, 200, 20}[n%3], Window: 2 * time.Millisecond,
		Wake: time.Millisecond, WakeMax: time.Duration(n%2+1) * time.Millisecond, CountedMax: []int{0, 64, 700}[n/2%3],
		Notify: func(dyncall.Event) { h.relearned.Add(1) },
	}
	switch {
	case h.o.functions != "":
		o.Functions = []string{h.o.functions}
	case n%4 == 1:
		o.Except = []string{"main.*"}
	case n%4 == 3:
		o.Functions = []string{"main.*"}
	}
	return o
}

// work calls until ended.
func (h *dynHammered) work(i int, ended <-chan struct{}) {
	if i%2 == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	c := newDynCaller(uint64(i)+1, &h.tally)
	defer c.close()
	for {
		select {
		case <-ended:
			return
		default:
		}
		if i%4 == 3 && !h.o.quick {
			c.newStack()
		} else {
			c.round(h.o.quick)
		}
		h.tally.calls.Add(c.calls)
		c.calls = 0
	}
}

// wait returns when there were enough relearnings, or the time is over. It changes what is
// called meanwhile, and looks at the memory of the stubs.
func (h *dynHammered) wait(start time.Time) {
	rnd := rand.New(rand.NewPCG(h.o.seed, 2))
	for n := 0; time.Since(start) < h.o.limit && (h.o.relearnings == 0 || h.relearned.Load() < h.o.relearnings); n++ {
		dynPhase.Add(1 + rnd.Uint32N(dynTargets-1))
		dynMix.Store([...]uint32{mixOne, mixOne, mixMostly, mixTwo, mixOne, mixMostly, mixOne, mixUniform}[rnd.IntN(8)])
		time.Sleep(time.Millisecond * time.Duration(2+rnd.IntN(6)))
		if rnd.IntN(200) == 0 {
			time.Sleep(100 * time.Millisecond) // the calls go quiet
		}
		if n%16 == 0 {
			h.lookAtStubs()
		}
	}
}

func (h *dynHammered) lookAtStubs() {
	u := stubsInUse()
	learned := dyncall.Stats().Promoted
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stubsMax = h.stubsMax.max(u)
	h.learned = max(h.learned, learned)
}

// end puts everything back.
func (h *dynHammered) end(r *dynReport) error {
	r.Stats = dyncall.Stats()
	sites := dyncall.Sites()
	h.found(sites)
	r.Ours, r.Bad = h.ours, h.bad
	r.Sites = len(sites)
	if err := dyncall.Stop(); err != nil {
		return fmt.Errorf("at the end: Stop: %w", err)
	}
	r.Restored = h.text.callsDiffer(sites)
	r.RWX = writableCode()
	time.Sleep(10 * time.Millisecond) // callers go on
	err := quietpatch.Disarm()
	r.Text = h.text.differs()
	runtime.GC() // a grace period
	err = errors.Join(err, quietpatch.Disarm())
	r.StubsEnd = stubsInUse()
	return err
}

// found looks at what was found: not all options ask for the hammer's own calls.
func (h *dynHammered) found(sites []dyncall.Site) {
	ours := 0
	for _, s := range sites {
		if strings.HasPrefix(s.Func, "main.site") || strings.HasPrefix(s.Func, "main.viaDictionary") {
			ours++
		}
		pkg, _, _ := strings.Cut(s.Func[strings.LastIndexByte(s.Func, '/')+1:], ".")
		if pkg == "runtime" || pkg == "syscall" || pkg == "os" || strings.HasPrefix(s.Func, "internal/") || strings.HasPrefix(s.Func, "runtime/") ||
			strings.Contains(s.Func, "/quietpatch/internal/engine.") {
			h.bad = append(h.bad, s.Func)
		}
	}
	h.ours = max(h.ours, ours)
}

func (h *dynHammered) report(r *dynReport) {
	t := &h.tally
	r.Calls, r.Wrong, r.Relearnings = t.calls.Load(), t.wrong.Load(), h.relearned.Load()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	r.Noise = map[string]int{}
	h.counts.Range(func(name, n any) bool {
		r.Noise[name.(string)] = int(n.(*atomic.Int64).Load())
		return true
	})
	r.StubsMax, r.Learned = h.stubsMax, h.learned
	r.Status = quietpatch.Status()
}
