package learn

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	ms = time.Millisecond
	// Targets below 100 are valid in tests, all others are not.
	fnA, fnB, fnC, fnD uint64 = 11, 12, 13, 14
	barred             uint64 = 1000
)

func validTest(target uint64) bool { return target < 100 }

func testRules(t testing.TB, o Options) *Rules {
	t.Helper()
	if o.Valid == nil {
		o.Valid = validTest
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// missed returns a line with misses of targets, hit one with hits.
func missed(catchAll uint32, c ...candidate) Line {
	l := Line{CatchAll: catchAll}
	for i, x := range c {
		l.Target[i], l.Miss[i] = x.target, uint32(x.count)
	}
	return l
}

func hit(n ...uint32) Line {
	var l Line
	copy(l.Hit[:], n)
	return l
}

// in returns a counting site that has the targets since `now` 0.
func in(r *Rules, targets ...uint64) *Site {
	s := r.Site()
	s.set(targets)
	s.Start(0)
	return &s
}

type lookCase struct {
	name    string
	o       Options
	present []uint64
	lines   []Line
	at      time.Duration

	state    State
	targets  []uint64
	change   bool
	clearAll bool
	clear    []int
	wake     time.Duration // after at
}

var lookCases = []lookCase{
	{
		name: "nothing yet", at: 10 * ms,
		lines: []Line{missed(0, candidate{fnA, 999}), missed(0, candidate{fnB, 999})},
		state: Counting, wake: 10 * ms,
	},
	{
		name: "ripe: one CPU decides for all, slots differ", at: 10 * ms,
		lines: []Line{
			missed(0, candidate{fnA, 600}, candidate{fnB, 400}),
			missed(0, candidate{fnC, 10}, candidate{fnB, 500}),
		},
		state: Counting, targets: []uint64{fnB, fnA}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "ripe: misses of different CPUs are not one CPU's", at: 99 * ms,
		lines: []Line{missed(0, candidate{fnA, 600}), missed(0, candidate{fnA, 600})},
		state: Counting, wake: 10 * ms,
	},
	{
		name: "the same target in two places of one CPU", at: 10 * ms,
		lines: []Line{missed(0, candidate{fnA, 350}, candidate{fnB, 400}, candidate{fnA, 350})},
		state: Counting, targets: []uint64{fnA, fnB}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "drop: the catch-all of CPUs 0 and 2", at: 20 * ms,
		lines: []Line{missed(1000, candidate{fnA, 999}), missed(999, candidate{fnA, 999}), missed(1001, candidate{fnB, 5})},
		state: Counting, clear: []int{0, 2}, wake: 10 * ms,
	},
	{
		name: "both limits passed: the catch-all is further past", at: 20 * ms,
		lines: []Line{missed(9000, candidate{fnA, 3000})},
		state: Counting, clear: []int{0}, wake: 10 * ms,
	},
	{
		name: "both limits passed: the specific misses are further past", at: 20 * ms,
		lines: []Line{missed(3000, candidate{fnA, 9000})},
		state: Counting, targets: []uint64{fnA}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "drop while targets are in place", present: []uint64{fnA}, at: 20 * ms,
		lines: []Line{func() Line { l := missed(5000, candidate{fnB, 7}); l.Hit[0] = 9; return l }()},
		state: Counting, targets: []uint64{fnA}, clear: []int{0}, wake: 10 * ms,
	},
	{
		name: "window: enough calls decide before 1000 misses", at: 100 * ms,
		lines: []Line{missed(0, candidate{fnA, 100}), missed(0, candidate{fnA, 100})},
		state: Counting, targets: []uint64{fnA}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "window: too few to decide, too many to be cold", at: 100 * ms,
		lines: []Line{missed(0, candidate{fnA, 16}), missed(0, candidate{fnA, 183})},
		state: Counting, wake: 10 * ms,
	},
	{
		name: "confirmed once: goes on counting", present: []uint64{fnA}, at: 100 * ms,
		lines: []Line{hit(500), hit(500)},
		state: Counting, targets: []uint64{fnA}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "confirmed often enough", o: Options{Stable: 1}, present: []uint64{fnA}, at: 100 * ms,
		lines: []Line{hit(500)},
		state: Quiet, targets: []uint64{fnA}, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "hits count beside misses", present: []uint64{fnA, fnB}, at: 10 * ms,
		lines: []Line{hit(5000, 4000), missed(0, candidate{fnC, 1000})},
		state: Counting, targets: []uint64{fnA, fnB}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "misses of a target in place are its hits", present: []uint64{fnA, fnB}, at: 10 * ms,
		lines: []Line{hit(0, 900), missed(0, candidate{fnA, 1000})},
		state: Counting, targets: []uint64{fnA, fnB}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "hits behind the targets in place are stale", present: []uint64{fnA}, at: 100 * ms,
		lines: []Line{hit(10, 5000, 5000)},
		state: Cold, targets: []uint64{fnA}, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "cold", at: 100 * ms,
		lines: []Line{missed(0, candidate{fnA, 8}), missed(0, candidate{fnA, 7})},
		state: Cold, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "not cold before the window is over", at: 99 * ms, lines: make([]Line, 2),
		state: Counting, wake: 10 * ms,
	},
	{
		name: "cold on average over two windows", at: 200 * ms,
		lines: []Line{missed(0, candidate{fnA, 31})},
		state: Cold, change: true, clearAll: true, wake: time.Second,
	},
	{name: "no lines at all", at: 100 * ms, state: Cold, change: true, clearAll: true, wake: time.Second},
	{
		name: "left alone: four even targets of sixteen", at: 100 * ms,
		lines: []Line{
			missed(0, candidate{1, 50}, candidate{2, 50}, candidate{3, 50}, candidate{4, 50}),
			missed(0, candidate{5, 50}, candidate{6, 50}, candidate{7, 50}, candidate{8, 50}),
			missed(0, candidate{21, 50}, candidate{22, 50}, candidate{23, 50}, candidate{24, 50}),
			missed(0, candidate{25, 50}, candidate{26, 50}, candidate{27, 50}, candidate{28, 50}),
		},
		state: LeftAlone, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "left alone: promoted before", present: []uint64{fnA, fnB}, at: 100 * ms,
		lines: []Line{
			missed(0, candidate{1, 50}, candidate{2, 50}, candidate{3, 50}, candidate{4, 50}),
			missed(0, candidate{5, 50}, candidate{6, 50}, candidate{7, 50}, candidate{8, 50}),
			missed(0, candidate{21, 50}, candidate{22, 50}, candidate{23, 50}, candidate{24, 50}),
			missed(0, candidate{25, 50}, candidate{26, 50}, candidate{27, 50}, candidate{28, 50}),
		},
		state: LeftAlone, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "only targets that may not be promoted", at: 10 * ms,
		lines: []Line{missed(0, candidate{barred, 4000})},
		state: LeftAlone, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "one that may not be promoted counts as calls", at: 10 * ms,
		lines: []Line{missed(0, candidate{barred, 4000}, candidate{fnA, 200})},
		state: LeftAlone, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "hidden: half of the calls are in the catch-all", at: 100 * ms,
		lines: []Line{missed(500, candidate{1, 30}, candidate{2, 30}, candidate{3, 30}, candidate{4, 30})},
		state: Counting, clearAll: true, wake: 10 * ms,
	},
	{
		name: "hidden: targets in place are not confirmed", present: []uint64{fnA}, at: 100 * ms, o: Options{Stable: 1},
		lines: []Line{hit(300), missed(500, candidate{1, 3}, candidate{2, 3}, candidate{3, 3}, candidate{4, 3})},
		state: Counting, targets: []uint64{fnA}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "a small catch-all hides nothing", present: []uint64{fnA}, at: 100 * ms, o: Options{Stable: 1},
		lines: []Line{hit(300), missed(10, candidate{1, 3}, candidate{2, 3}, candidate{3, 3}, candidate{4, 3})},
		state: Quiet, targets: []uint64{fnA}, change: true, clearAll: true, wake: time.Second,
	},
	{
		name: "order: not worth a change", present: []uint64{fnA, fnB}, at: 100 * ms,
		lines: []Line{hit(300, 700)},
		state: Counting, targets: []uint64{fnA, fnB}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "order: worth a change", present: []uint64{fnA, fnB}, at: 100 * ms,
		lines: []Line{hit(10, 990)},
		state: Counting, targets: []uint64{fnB, fnA}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "margin: a little more popular than one in place", present: []uint64{fnA, fnB}, at: 100 * ms,
		lines: []Line{hit(500, 240), missed(0, candidate{fnC, 260})},
		state: Counting, targets: []uint64{fnA, fnB}, clearAll: true, wake: 10 * ms,
	},
	{
		name: "margin: much more popular than one in place", present: []uint64{fnA, fnB}, at: 100 * ms,
		lines: []Line{hit(500, 100), missed(0, candidate{fnC, 400})},
		state: Counting, targets: []uint64{fnA, fnC}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "a place left over keeps the old target", present: []uint64{fnA}, at: 10 * ms,
		lines: []Line{missed(0, candidate{fnB, 2000})},
		state: Counting, targets: []uint64{fnB, fnA}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "not when too many calls would compare it for nothing", present: []uint64{fnA}, at: 10 * ms,
		lines: []Line{
			missed(0, candidate{fnB, 1200}, candidate{1, 40}, candidate{2, 40}, candidate{3, 40}),
			missed(0, candidate{4, 40}, candidate{5, 40}, candidate{6, 40}, candidate{7, 40}),
			missed(0, candidate{21, 40}, candidate{22, 40}, candidate{23, 40}, candidate{24, 40}),
			missed(0, candidate{25, 40}, candidate{26, 40}, candidate{27, 40}, candidate{28, 40}),
			missed(0, candidate{31, 40}, candidate{32, 40}, candidate{33, 40}, candidate{34, 40}),
		},
		state: Counting, targets: []uint64{fnB}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "one target only", o: Options{Targets: 1}, present: []uint64{fnA}, at: 10 * ms,
		lines: []Line{missed(0, candidate{fnB, 2000}, candidate{fnC, 1900})},
		state: Counting, targets: []uint64{fnB}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "six targets", o: Options{Targets: 6}, at: 10 * ms,
		lines: []Line{
			missed(0, candidate{1, 6000}, candidate{2, 5000}, candidate{3, 4000}),
			missed(0, candidate{4, 3000}, candidate{5, 2000}, candidate{6, 1500}, candidate{7, 900}),
		},
		state: Counting, targets: []uint64{1, 2, 3, 4, 5, 6}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "a fourth target that is hardly called is not worth a compare", o: Options{Targets: 4}, at: 10 * ms,
		lines: []Line{
			missed(0, candidate{1, 3000}, candidate{2, 2900}, candidate{3, 2800}),
			missed(90, candidate{4, 100}, candidate{5, 95}, candidate{6, 95}, candidate{7, 95}),
			missed(7000, candidate{21, 95}, candidate{22, 95}, candidate{23, 95}, candidate{24, 95}),
		},
		state: Counting, targets: []uint64{1, 2, 3}, change: true, clearAll: true, wake: 10 * ms,
	},
	{
		name: "counters at their end", at: 10 * ms,
		lines: slices.Repeat([]Line{{
			Target: [4]uint64{1, 2, 3, 4}, Miss: [4]uint32{1<<32 - 1, 1 << 31, 1 << 30, 1},
			CatchAll: 1 << 30, Hit: [6]uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1},
		}}, 1000),
		state: Counting, targets: []uint64{1, 2}, change: true, clearAll: true, wake: 10 * ms,
	},
}

func TestLook(t *testing.T) {
	for _, c := range lookCases {
		t.Run(c.name, func(t *testing.T) {
			r := testRules(t, c.o)
			s := in(r, c.present...)
			before := slices.Clone(c.lines)
			v := s.Look(c.lines, c.at)
			want := Verdict{Change: c.change, Targets: c.targets, Counting: c.state == Counting, ClearAll: c.clearAll, Clear: c.clear, Wake: c.at + c.wake}
			if got, want := show(v), show(want); got != want || s.State() != c.state {
				t.Errorf("\n got %s, %v\nwant %s, %v", got, s.State(), want, c.state)
			}
			if !slices.Equal(before, c.lines) {
				t.Error("Look changed the lines")
			}
		})
	}
}

func show(v Verdict) string {
	return fmt.Sprintf("change %v to %v counting %v, clear all %v %v, wake %v", v.Change, v.Targets, v.Counting, v.ClearAll, v.Clear, v.Wake)
}

// TestQuiet: confirmed twice, quiet; woken, one confirmation is enough, and the
// sleep doubles to its maximum.
func TestQuiet(t *testing.T) {
	r := testRules(t, Options{WakeMax: 5 * time.Second})
	s := in(r)
	now := 10 * ms
	s.Look([]Line{missed(0, candidate{fnA, 1000})}, now)
	looks := []Line{hit(1000)}
	if v := s.Look(looks, now+100*ms); v.Change || !v.ClearAll || !v.Counting {
		t.Fatalf("first confirmation: %s", show(v))
	}
	now += 200 * ms
	for i, sleep := range []time.Duration{1, 2, 4, 5, 5} {
		v := s.Look(looks, now)
		if !v.Change || v.Counting || s.State() != Quiet || v.Wake != now+sleep*time.Second || len(v.Targets) != 1 {
			t.Fatalf("confirmation %d: %s, %v", i+2, show(v), s.State())
		}
		if again := s.Look(looks, v.Wake); again.Change || again.ClearAll || again.Counting {
			t.Fatalf("a quiet site was looked at: %s", show(again))
		}
		if v = s.Start(v.Wake); !v.Change || !v.ClearAll || !v.Counting || len(v.Targets) != 1 {
			t.Fatalf("woken: %s", show(v))
		}
		now = v.Wake - 10*ms + 100*ms
	}
	if v := s.Start(now); v.Change || v.ClearAll || !v.Counting {
		t.Fatalf("started twice: %s", show(v))
	}
	if got := s.Stats().Relearnings; got != 1 {
		t.Errorf("%d relearnings", got)
	}
}

// TestBackoffStartsOver: only a change of targets that were confirmed many times in
// a row shortens the sleep again.
func TestBackoffStartsOver(t *testing.T) {
	r := testRules(t, Options{Stable: 1, Targets: 1})
	for _, c := range []struct {
		confirmations int
		sleep         time.Duration
	}{{trustMin, 60 * time.Second}, {trustMin + 1, time.Second}} {
		s := in(r)
		s.Look([]Line{missed(0, candidate{fnA, 1000})}, 0)
		now := time.Duration(0)
		for range c.confirmations { // sleeps 1, 2, 4 s and so on
			now += 100 * ms
			now = s.Look([]Line{hit(1000)}, now).Wake
			s.Start(now)
		}
		if v := s.Look([]Line{missed(0, candidate{fnB, 1000})}, now); !v.Change || !v.Counting || v.Targets[0] != fnB {
			t.Fatalf("%s", show(v))
		}
		now += 100 * ms
		if v := s.Look([]Line{hit(1000)}, now); v.Wake != now+c.sleep || s.State() != Quiet {
			t.Errorf("%d confirmations: %s, want to wake after %v", c.confirmations, show(v), c.sleep)
		}
	}
}

// TestFirstChoice: a site that was cold for long is looked at soon after its first
// choice.
func TestFirstChoice(t *testing.T) {
	r := testRules(t, Options{Stable: 1})
	s := in(r)
	now := time.Duration(0)
	for range 5 {
		now = s.Look(nil, now+100*ms).Wake
		s.Start(now)
	}
	s.Look([]Line{missed(0, candidate{fnA, 1000})}, now)
	now += 100 * ms
	if v := s.Look([]Line{hit(1000)}, now); v.Wake != now+time.Second {
		t.Error(show(v))
	}
}

// TestLineSums: counters of 32 bits at their end add up.
func TestLineSums(t *testing.T) {
	const most = 1<<32 - 1
	l := Line{Miss: [4]uint32{most, most, most, most}, Hit: [6]uint32{most, most, most, most, most, most}}
	if n := l.specific(); n != 4*most {
		t.Errorf("%d misses", n)
	}
	if n := l.hits(5); n != 5*most {
		t.Errorf("%d hits", n)
	}
}

// TestRestless: a site with other targets in each window is not patched for ever.
func TestRestless(t *testing.T) {
	r := testRules(t, Options{})
	s := in(r)
	for i := range uint64(changesMax) {
		v := s.Look([]Line{missed(0, candidate{20 + 2*i, 600}, candidate{21 + 2*i, 600})}, time.Duration(i+1)*100*ms)
		if !v.Change || v.Counting != (i+1 < changesMax) {
			t.Fatalf("change %d: %s", i, show(v))
		}
	}
	if s.State() != Quiet {
		t.Errorf("%v", s.State())
	}
}

// TestTables: a catch-all that always hides too much is judged in the end, and the
// judgement is not put off again until the next Start.
func TestTables(t *testing.T) {
	r := testRules(t, Options{})
	s := in(r)
	lines := []Line{missed(800, candidate{1, 50}, candidate{2, 50}, candidate{3, 50}, candidate{4, 50})}
	now := time.Duration(0)
	for round := range 3 {
		for range tablesMax {
			now += 100 * ms
			if v := s.Look(lines, now); v.Change || !v.ClearAll || !v.Counting {
				t.Fatalf("round %d: %s", round, show(v))
			}
		}
		now += 100 * ms
		v := s.Look(lines, now)
		if v.Counting || s.State() != LeftAlone {
			t.Fatalf("round %d: %s", round, show(v))
		}
		now = v.Wake
		s.Start(now)
	}
}

// TestHalfMargin: between half a margin and a margin of gain, what is there stays,
// be it targets or none.
func TestHalfMargin(t *testing.T) {
	// Two targets with 130 of 980 calls each: 8.6 ns instead of 9.1, which is 5.5%.
	lines := func(present bool) []Line {
		l := missed(0, candidate{fnC, 90}, candidate{fnD, 90})
		if present {
			l.Hit = [6]uint32{130, 130}
		} else {
			l = missed(0, candidate{fnA, 130}, candidate{fnB, 130}, candidate{fnC, 90}, candidate{fnD, 90})
		}
		return []Line{
			l, missed(0, candidate{1, 90}, candidate{2, 90}, candidate{3, 90}, candidate{4, 90}),
			missed(0, candidate{5, 90}, candidate{6, 90}),
		}
	}
	r := testRules(t, Options{Stable: 1})
	if s := in(r, fnA, fnB); len(s.Look(lines(true), 100*ms).Targets) != 2 || s.State() != Quiet {
		t.Errorf("promoted before: %v %v", s.State(), s.Targets())
	}
	if s := in(r); len(s.Look(lines(false), 100*ms).Targets) != 0 || s.State() != LeftAlone {
		t.Errorf("not promoted before: %v %v", s.State(), s.Targets())
	}
}

// TestClockStepsBack: a site must not count for hours because the clock did.
func TestClockStepsBack(t *testing.T) {
	r := testRules(t, Options{})
	s := r.Site()
	s.Start(time.Hour)
	s.Look(nil, time.Second)
	if v := s.Look(nil, time.Second+100*ms); v.Counting {
		t.Error(show(v))
	}
}

func TestFailed(t *testing.T) {
	r := testRules(t, Options{})
	s := in(r)
	s.Look([]Line{missed(0, candidate{fnA, 1000})}, 10*ms)
	v := s.Failed(nil, false, 20*ms)
	if v.Change || v.Counting || len(v.Targets) != 0 || s.State() != Cold || v.Wake != 20*ms+time.Second {
		t.Errorf("nothing in place: %s, %v", show(v), s.State())
	}
	if n := s.Stats().Relearnings; n != 0 {
		t.Errorf("%d relearnings, and none took place", n)
	}
	s = in(r, fnA)
	s.Look([]Line{missed(0, candidate{fnB, 1000}, candidate{fnC, 1000})}, 10*ms)
	v = s.Failed([]uint64{fnA}, true, 20*ms)
	if v.Change || !v.Counting || !v.ClearAll || !slices.Equal(v.Targets, []uint64{fnA}) {
		t.Errorf("old stub in place: %s", show(v))
	}
	v = s.Failed([]uint64{fnA}, false, 20*ms)
	if v.Counting || s.State() != Quiet {
		t.Errorf("old stub in place, counts nothing: %s, %v", show(v), s.State())
	}
	s.Failed([]uint64{1, 2, 3, 4, 5, 6, 7, 8}, true, 0) // more than there can be
	s.Look([]Line{hit(100, 100, 100, 100, 100, 100)}, 100*ms)
}

func TestStats(t *testing.T) {
	r := testRules(t, Options{})
	s := in(r)
	if got := s.Stats(); got.State != Counting || got.Looks != 0 || len(got.Last) != 0 || got.Other != 0 {
		t.Errorf("new: %+v", got)
	}
	s.Look([]Line{missed(1200, candidate{fnA, 7})}, 10*ms)                       // dropped
	s.Look([]Line{missed(5, candidate{fnA, 990}, candidate{barred, 20})}, 20*ms) // promoted
	l := missed(1, candidate{fnB, 3})
	l.Hit[0] = 500
	s.Look([]Line{l, hit(100)}, 120*ms) // confirmed
	got := s.Stats()
	want := Stats{
		State: Counting, Targets: []uint64{fnA}, Relearnings: 1, Looks: 3, Hits: 600, Misses: 1207 + 1015 + 4,
		Last: []Count{{fnA, 600}, {fnB, 3}}, Other: 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if h, m := s.Counts(); h != got.Hits || m != got.Misses {
		t.Errorf("%d hits, %d misses; Stats has %d and %d", h, m, got.Hits, got.Misses)
	}
	s.Look([]Line{hit(3)}, 220*ms)
	if got := s.Stats(); got.State != Cold || got.Hits != 603 || fmt.Sprint(got.Last) != fmt.Sprint(want.Last) {
		t.Errorf("cold: %+v", got)
	}
}

func TestStateString(t *testing.T) {
	seen := map[string]bool{}
	for s := Cold; s <= LeftAlone+1; s++ {
		if seen[s.String()] || (s <= LeftAlone) == strings.Contains(s.String(), "?") {
			t.Errorf("%d is %q", s, s)
		}
		seen[s.String()] = true
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Targets: 6}, {Window: ms}, {WakeMax: 10 * ms}, {CatchAll: 5}, {Enough: 3}, {Costs: Costs{ThunkNs: 1}},
	} {
		o.Valid = validTest
		if _, err := New(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for field, o := range map[string]Options{
		"Targets":    {Targets: 7},
		"Targets ":   {Targets: -1},
		"Margin":     {Margin: 1},
		"Margin ":    {Margin: math.NaN()},
		"Enough":     {Enough: 2000},
		"Few":        {Few: 300},
		"Stable":     {Stable: -1},
		"CountedMax": {CountedMax: -1},
		"Window":     {Window: -1},
		"Window ":    {Window: math.MaxInt64},
		"Poll":       {Poll: time.Second},
		"Wake":       {Wake: 2 * time.Minute},
		"WakeMax":    {WakeMax: math.MaxInt64},
		"Costs":      {Costs: Costs{ThunkNs: 1, CompareNs: -1}},
		"Costs ":     {Costs: Costs{ThunkNs: 1, CallNs: math.Inf(1)}},
		"ThunkNs":    {Costs: Costs{CallNs: 1}},
	} {
		o.Valid = validTest
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "Valid") {
		t.Errorf("without Valid: %v", err)
	}
}

// TestNoAllocations: a program may have 512 sites looked at every 10 ms.
func TestNoAllocations(t *testing.T) {
	r := testRules(t, Options{Stable: 1 << 30})
	lines := []Line{missed(100, candidate{fnA, 10}), hit(100, 100)}
	s := in(r, fnA, fnB)
	if n := testing.AllocsPerRun(100, func() { s.Look(lines, ms) }); n != 0 {
		t.Errorf("a look at an unfinished window: %v allocations", n)
	}
	now := ms
	confirm := []Line{hit(1000, 100), missed(3, candidate{fnC, 2}, candidate{fnD, 1})}
	if n := testing.AllocsPerRun(100, func() {
		now += 100 * ms
		if v := s.Look(confirm, now); v.Change || !v.ClearAll {
			t.Fatal(show(v))
		}
	}); n != 0 {
		t.Errorf("a confirmation: %v allocations", n)
	}
	drop := []Line{missed(1000)}
	if n := testing.AllocsPerRun(100, func() {
		if v := s.Look(drop, now+ms); len(v.Clear) != 1 {
			t.Fatal(show(v))
		}
	}); n != 0 {
		t.Errorf("a drop: %v allocations", n)
	}
}

// TestOnlyDurations: package time is imported for its type and units, and not to
// read a clock.
func TestOnlyDurations(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if p, ok := sel.X.(*ast.Ident); ok && p.Name == "time" {
				uses++
				if !slices.Contains([]string{"Duration", "Millisecond", "Second", "Hour"}, sel.Sel.Name) {
					t.Errorf("%s uses time.%s", name, sel.Sel.Name)
				}
			}
			return true
		})
	}
	if uses < 10 {
		t.Errorf("%d uses of package time found: the search is wrong", uses)
	}
}
