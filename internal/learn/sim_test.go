package learn

import (
	"cmp"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 1, "of the simulated calls")

// workload is what calls at a site look like. A program runs on two CPUs.
type workload struct {
	calls   func(now time.Duration, cpu int) int // per poll
	target  func(rng *rand.Rand, now time.Duration, cpu int) uint64
	garbage func(rng *rand.Rand, l *Line) // done to a line now and then
}

func rate(n int) func(time.Duration, int) int { return func(time.Duration, int) int { return n } }

func always(target uint64) func(*rand.Rand, time.Duration, int) uint64 {
	return func(*rand.Rand, time.Duration, int) uint64 { return target }
}

func uniform(n uint64) func(*rand.Rand, time.Duration, int) uint64 {
	return func(rng *rand.Rand, _ time.Duration, _ int) uint64 { return 1 + rng.Uint64N(n) }
}

// alternate calls a in one period and b in the next.
func alternate(period time.Duration, a, b uint64) func(*rand.Rand, time.Duration, int) uint64 {
	return func(_ *rand.Rand, now time.Duration, _ int) uint64 {
		if now/period%2 == 0 {
			return a
		}
		return b
	}
}

// after goes from one behaviour to another.
func after(at time.Duration, a, b func(*rand.Rand, time.Duration, int) uint64) func(*rand.Rand, time.Duration, int) uint64 {
	return func(rng *rand.Rand, now time.Duration, cpu int) uint64 {
		if now < at {
			return a(rng, now, cpu)
		}
		return b(rng, now, cpu)
	}
}

// world is a program whose sites are learned: what package dyncall does, with
// simulated stubs.
type world struct {
	t         *testing.T
	rng       *rand.Rand
	rules     *Rules
	scheduler *Scheduler
	sites     []*simSite
	now       time.Duration
	polls     int
}

type simSite struct {
	Site
	work       workload
	lines      [2]Line
	stub       []uint64
	counting   bool
	patches    int
	countedFor time.Duration
	first      time.Duration // Start
	since      time.Duration // the targets are what they are
}

func newWorld(t *testing.T, o Options) *world {
	rules := testRules(t, o)
	return &world{t: t, rng: rand.New(rand.NewPCG(*seed, 0)), rules: rules, scheduler: rules.Scheduler()}
}

func (w *world) add(work workload) *simSite {
	s := &simSite{Site: w.rules.Site(), work: work, first: -1}
	if id := w.scheduler.Add(); id != len(w.sites) {
		w.t.Fatalf("id %d, want %d", id, len(w.sites))
	}
	w.sites = append(w.sites, s)
	return s
}

func (w *world) run(until time.Duration) {
	for w.now < until {
		w.polls++
		for id := range w.scheduler.Counted() {
			s := w.sites[id]
			v := s.Look(s.lines[:], w.now)
			w.act(s, v)
			if !v.Counting && !w.scheduler.Sleep(id, v.Wake) {
				w.t.Fatalf("site %d was not counted", id)
			}
		}
		for id, ok := w.scheduler.Next(w.now); ok; id, ok = w.scheduler.Next(w.now) {
			s := w.sites[id]
			if s.first < 0 {
				s.first = w.now
			}
			w.act(s, s.Start(w.now))
		}
		if c, _ := w.scheduler.Len(); c > w.rules.o.CountedMax {
			w.t.Fatalf("%d sites are counted", c)
		}
		d := w.scheduler.Wait(w.now)
		if d <= 0 {
			w.t.Fatalf("at %v: wait %v", w.now, d)
		}
		for id := range w.scheduler.Counted() {
			w.sites[id].countedFor += d
			w.call(w.sites[id])
		}
		w.now += d
	}
}

// act patches and clears.
func (w *world) act(s *simSite, v Verdict) {
	checkVerdict(w.t, w.rules, v, s.stub, s.counting, len(s.lines), w.now)
	if v.Change {
		if !slices.Equal(s.stub, v.Targets) {
			s.since = w.now
		}
		s.stub, s.counting = slices.Clone(v.Targets), v.Counting
		s.patches++
	}
	if v.ClearAll {
		s.lines = [2]Line{}
	}
	for _, cpu := range v.Clear {
		s.lines[cpu] = Line{}
	}
}

// call runs the site until the next poll, as its stub would count.
func (w *world) call(s *simSite) {
	for cpu := range s.lines {
		l := &s.lines[cpu]
		for range s.work.calls(w.now, cpu) {
			countCall(l, s.stub, s.work.target(w.rng, w.now, cpu))
		}
		if s.work.garbage != nil && w.rng.IntN(20) == 0 {
			s.work.garbage(w.rng, l)
		}
	}
}

func countCall(l *Line, targets []uint64, target uint64) {
	if i := slices.Index(targets, target); i >= 0 {
		l.Hit[i]++
		return
	}
	i := slices.Index(l.Target[:], target)
	if i < 0 {
		if i = slices.Index(l.Target[:], 0); i < 0 {
			l.CatchAll++
			return
		}
		l.Target[i] = target
	}
	l.Miss[i]++
}

// checkVerdict holds what is true of every verdict.
func checkVerdict(t *testing.T, r *Rules, v Verdict, stub []uint64, counting bool, cpus int, now time.Duration) {
	t.Helper()
	if v.Change == (slices.Equal(v.Targets, stub) && v.Counting == counting) {
		t.Fatalf("%s: the stub has %v, counting %v", show(v), stub, counting)
	}
	if len(v.Targets) > r.o.Targets {
		t.Fatalf("%s: %d targets allowed", show(v), r.o.Targets)
	}
	for i, target := range v.Targets {
		if !r.o.Valid(target) || target == 0 || slices.Contains(v.Targets[:i], target) {
			t.Fatalf("%s: target %d", show(v), i)
		}
	}
	for i, cpu := range v.Clear {
		if cpu < 0 || cpu >= cpus || slices.Contains(v.Clear[:i], cpu) {
			t.Fatalf("%s: %d CPUs", show(v), cpus)
		}
	}
	if v.Change && !v.ClearAll || v.ClearAll && len(v.Clear) > 0 {
		t.Fatal(show(v))
	}
	if v.Wake <= now || v.Wake > now+r.o.WakeMax || v.Counting && v.Wake != now+r.o.Poll {
		t.Fatalf("at %v: %s", now, show(v))
	}
}

// tornTargets writes what a store of half a word, or a line that is somebody
// else's, leaves.
func tornTargets(rng *rand.Rand, l *Line) {
	i := rng.IntN(SpecificMax)
	switch rng.IntN(4) {
	case 0:
		l.Target[i] = rng.Uint64()
	case 1:
		l.Target[i] = l.Target[i]<<32 | 7
	case 2:
		l.Target[i], l.Miss[i] = 0, rng.Uint32N(100)
	case 3:
		*l = Line{
			Target: [4]uint64{rng.Uint64(), 50 + rng.Uint64N(30), 50, rng.Uint64()}, Miss: [4]uint32{9, 8, 7, 6},
			CatchAll: rng.Uint32N(50), Hit: [6]uint32{5, 4, 3, 2, 1, 1},
		}
	}
}

// anyLine holds nothing that a stub would count.
func anyLine(rng *rand.Rand, l *Line) {
	for i := range l.Target {
		l.Target[i], l.Miss[i] = rng.Uint64(), rng.Uint32()
	}
	for i := range l.Hit {
		l.Hit[i] = rng.Uint32()
	}
	l.CatchAll = rng.Uint32()
}

var simCases = []struct {
	name string
	o    Options
	work workload
	run  time.Duration

	state          State
	targets        []uint64 // nil: any
	set            bool     // in any order
	relearningsMax uint64
	since          time.Duration // the targets are in place at the latest then; 0: 1 s
	countedMax     float64       // part of the time; 0: 1%
}{
	{
		name: "one target", work: workload{calls: rate(100), target: always(fnA)},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 1,
	},
	{
		name: "one target, fast", work: workload{calls: rate(3000), target: always(fnA)},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 1, since: 10 * ms,
	},
	{
		name: "one target, slow", work: workload{calls: rate(2), target: always(fnA)},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 1, since: 3 * time.Second, countedMax: 0.05,
	},
	{
		name: "two at random", work: workload{calls: rate(100), target: uniform(2)},
		state: Quiet, targets: []uint64{1, 2}, set: true, relearningsMax: 1,
	},
	{
		name: "90/10",
		work: workload{calls: rate(100), target: func(rng *rand.Rand, _ time.Duration, _ int) uint64 {
			if rng.IntN(10) == 0 {
				return fnA
			}
			return fnB
		}},
		state: Quiet, targets: []uint64{fnB, fnA}, relearningsMax: 1,
	},
	{
		name: "uniform over 20", work: workload{calls: rate(100), target: uniform(20)},
		state: LeftAlone, targets: []uint64{}, relearningsMax: 0, countedMax: 0.02,
	},
	{
		name: "uniform over 20, six targets, fast", o: Options{Targets: 6}, work: workload{calls: rate(2000), target: uniform(20)},
		state: LeftAlone, targets: []uint64{}, relearningsMax: 0, countedMax: 0.02,
	},
	{
		name: "near the margin: once promoted, it stays",
		work: workload{calls: rate(100), target: func(rng *rand.Rand, _ time.Duration, _ int) uint64 {
			// 18.6% each: saves 10.4%, by exact counts.
			if n := rng.IntN(1000); n < 372 {
				return fnA + uint64(n)%2
			}
			return 20 + rng.Uint64N(6)
		}},
		state: Quiet, targets: []uint64{fnA, fnB}, set: true, relearningsMax: 1, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "one of many, hidden behind rare ones",
		work: workload{calls: rate(100), target: func(rng *rand.Rand, _ time.Duration, _ int) uint64 {
			if rng.IntN(4) == 0 {
				return 20 + rng.Uint64N(40)
			}
			return fnA
		}},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 2, countedMax: 0.02,
	},
	{
		name: "only a target that may not be promoted", work: workload{calls: rate(100), target: always(barred)},
		state: LeftAlone, targets: []uint64{}, relearningsMax: 0,
	},
	{
		name: "rare calls",
		work: workload{calls: func(now time.Duration, _ int) int {
			if now/(10*ms)%50 == 0 {
				return 1
			}
			return 0
		}, target: always(fnA)},
		state: Cold, targets: []uint64{}, relearningsMax: 0,
	},
	{name: "no calls", work: workload{calls: rate(0)}, state: Cold, targets: []uint64{}, relearningsMax: 0},
	{
		name:  "cold, then busy",
		work:  workload{calls: func(now time.Duration, _ int) int { return int(now/(90*time.Second)) * 20 }, target: always(fnA)},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 1, since: 155 * time.Second,
	},
	{
		name:  "busy, then cold: stays promoted",
		work:  workload{calls: func(now time.Duration, _ int) int { return 100 - 100*int(min(now/(90*time.Second), 1)) }, target: always(fnA)},
		state: Cold, targets: []uint64{fnA}, relearningsMax: 1,
	},
	{
		name: "phase change", work: workload{calls: rate(100), target: after(90*time.Second, always(fnA), always(fnB))},
		state: Quiet, targets: []uint64{fnB, fnA}, relearningsMax: 2, since: 151 * time.Second,
	},
	{
		name: "phase change soon after the start", work: workload{calls: rate(100), target: after(5*time.Second, always(fnA), always(fnB))},
		state: Quiet, targets: []uint64{fnB, fnA}, relearningsMax: 2, since: 9 * time.Second,
	},
	{
		name: "one target, then megamorphic", work: workload{calls: rate(100), target: after(90*time.Second, always(fnA), uniform(20))},
		state: LeftAlone, targets: []uint64{}, relearningsMax: 2, since: 152 * time.Second, countedMax: 0.02,
	},
	{
		name: "megamorphic, then one target", work: workload{calls: rate(100), target: after(90*time.Second, uniform(20), always(fnA))},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 1, since: 152 * time.Second, countedMax: 0.02,
	},
	{
		name: "flaps faster than a window", work: workload{calls: rate(100), target: alternate(50*ms, fnA, fnB)},
		state: Quiet, targets: []uint64{fnA, fnB}, set: true, relearningsMax: 16, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "flaps like a window", work: workload{calls: rate(100), target: alternate(130*ms, fnA, fnB)},
		state: Quiet, targets: []uint64{fnA, fnB}, set: true, relearningsMax: 25, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "flaps between wakes", work: workload{calls: rate(100), target: alternate(3*time.Second, fnA, fnB)},
		state: Quiet, targets: []uint64{fnA, fnB}, set: true, relearningsMax: 16, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "flaps, room for one target only", o: Options{Targets: 1}, work: workload{calls: rate(100), target: alternate(130*ms, fnA, fnB)},
		state: Quiet, relearningsMax: 25, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "bursts, another target on each CPU",
		work: workload{
			calls: func(now time.Duration, cpu int) int {
				if now/(70*ms)%2 == time.Duration(cpu) {
					return 400
				}
				return 0
			},
			target: func(_ *rand.Rand, _ time.Duration, cpu int) uint64 { return fnA + uint64(cpu) },
		},
		state: Quiet, targets: []uint64{fnA, fnB}, set: true, relearningsMax: 3,
	},
	{
		name: "one CPU calls all and sundry, the other one target",
		work: workload{calls: rate(200), target: func(rng *rand.Rand, _ time.Duration, cpu int) uint64 {
			if cpu == 0 {
				return 20 + rng.Uint64N(60)
			}
			return fnA
		}},
		state: Quiet, targets: []uint64{fnA}, relearningsMax: 2, countedMax: 0.02,
	},
	{
		name: "torn and stale lines", work: workload{calls: rate(100), target: always(fnA), garbage: tornTargets},
		state: Quiet, relearningsMax: 6, since: time.Hour, countedMax: 0.02,
	},
	{
		name: "nothing but garbage", work: workload{calls: rate(1), target: always(fnA), garbage: anyLine},
		state: LeftAlone, relearningsMax: 6, since: time.Hour, countedMax: 0.05,
	},
}

// TestSimulation drives one site of each kind for five minutes.
func TestSimulation(t *testing.T) {
	for _, c := range simCases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.o)
			s := w.add(c.work)
			const end = 5 * time.Minute
			w.run(end)
			// The end may fall into a count: wait for what comes of it.
			for s.State() == Counting && w.now < end+10*time.Second {
				w.run(w.now + 1)
			}
			got := s.Stats()
			t.Logf("%v %v, since %v; %d relearnings, %d patches, %d polls, counted %.2f%% of the time",
				got.State, got.Targets, s.since, got.Relearnings, s.patches, w.polls, 100*float64(s.countedFor)/float64(w.now))
			targets := slices.Clone(got.Targets)
			if c.set {
				slices.Sort(targets)
			}
			if got.State != c.state || c.targets != nil && !slices.Equal(targets, c.targets) {
				t.Errorf("%v %v, want %v %v", got.State, got.Targets, c.state, c.targets)
			}
			if got.Relearnings > c.relearningsMax {
				t.Errorf("%d relearnings, at most %d are expected", got.Relearnings, c.relearningsMax)
			}
			if limit := cmp.Or(c.since, time.Second); s.since > limit {
				t.Errorf("learned at %v, expected by %v", s.since, limit)
			}
			if part := float64(s.countedFor) / float64(w.now); part > cmp.Or(c.countedMax, 0.01) {
				t.Errorf("counted %.2f%% of the time", 100*part)
			}
		})
	}
}

// TestManySites: 20,000 sites, 512 at a time: each has its turn, in order, and what
// they learn is right.
func TestManySites(t *testing.T) {
	n := 20000
	if testing.Short() {
		n = 4000
	}
	w := newWorld(t, Options{})
	for i := range n {
		work := workload{calls: rate(0)}
		switch i % 10 {
		case 0, 1:
			work = workload{calls: rate(15), target: always(1 + uint64(i%97))}
		case 2:
			work = workload{calls: rate(15), target: uniform(2)}
		case 3:
			work = workload{calls: rate(15), target: uniform(30)}
		}
		w.add(work)
	}
	w.run(15 * time.Second)
	want := map[int]State{0: Quiet, 1: Quiet, 2: Quiet, 3: LeftAlone}
	wrong, last := 0, time.Duration(0)
	for i, s := range w.sites {
		if s.first < last {
			t.Fatalf("site %d was first counted at %v (-1ns: never), a site before it at %v", i, s.first, last)
		}
		last = s.first
		state := s.State()
		if state == Counting { // again
			state = want[i%10]
		}
		if state != want[i%10] || state == Quiet && i%10 < 2 && s.Targets()[0] != 1+uint64(i%97) {
			wrong++
		}
		if s.relearnings > 2 {
			t.Errorf("site %d: %d relearnings", i, s.relearnings)
		}
	}
	t.Logf("all counted once by %v; %d polls", last, w.polls)
	if wrong > 0 {
		t.Errorf("%d of %d sites are not what they should be", wrong, n)
	}
	if last > 10*time.Second {
		t.Errorf("the last site had its first turn at %v", last)
	}
	// Once most sleep for long, few are counted.
	w.run(5 * time.Minute)
	if counted, _ := w.scheduler.Len(); counted > n/20 {
		t.Errorf("%d sites are counted in the end", counted)
	}
}

// TestVerdicts gives sites lines at random, from plausible to pure noise.
func TestVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 5))
	seen := map[State]int{}
	for range 300 {
		r := testRules(t, Options{
			Targets: rng.IntN(TargetsMax + 1), Misses: rng.Uint32N(5000), CatchAll: rng.Uint32N(5000),
			Stable: rng.IntN(4), Margin: rng.Float64() / 2,
		})
		lines := make([]Line, rng.IntN(9))
		s := r.Site()
		var stub []uint64
		counting, now := false, time.Duration(0)
		for range 300 {
			now += time.Duration(rng.IntN(120)) * ms
			randomLines(rng, lines)
			v := s.Look(lines, now)
			if !counting && rng.IntN(3) == 0 {
				v = s.Start(now)
			}
			checkVerdict(t, r, v, stub, counting, len(lines), now)
			stub, counting = slices.Clone(v.Targets), v.Counting
			seen[s.State()]++
			if got := s.Stats(); counting != (got.State == Counting) || !slices.Equal(got.Targets, stub) {
				t.Fatalf("%+v", got)
			}
		}
	}
	for state := Cold; state <= LeftAlone; state++ {
		if seen[state] < 100 {
			t.Errorf("%v was reached %d times: the lines are not random enough", state, seen[state])
		}
	}
}

func randomLines(rng *rand.Rand, lines []Line) {
	size := math.Exp(rng.Float64() * 22.2) // up to 1<<32
	few := 1 + rng.Uint64N(130)            // targets, some of them not valid
	count := func() uint32 {
		if rng.IntN(4) == 0 {
			return 0
		}
		return uint32(min(size*rng.ExpFloat64(), math.MaxUint32))
	}
	for i := range lines {
		l := &lines[i]
		*l = Line{CatchAll: count() * rng.Uint32N(2)}
		if rng.IntN(50) == 0 {
			anyLine(rng, l)
			continue
		}
		for j := range l.Target {
			l.Target[j], l.Miss[j] = rng.Uint64N(few), count()
		}
		for j := range l.Hit {
			l.Hit[j] = count()
		}
	}
}
