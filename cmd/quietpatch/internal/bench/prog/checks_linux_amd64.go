package prog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch"
)

// A contender is one way to have a switch.
type contender struct {
	name  string
	run   [2]loop          // one check, and checksMax
	lines []unsafe.Pointer // what a check reads: the first may change
}

// States of the caches.
const (
	hot     = "hot"     // everything in the nearest cache
	evicted = "evicted" // the lines that hold the switch are in no cache; code is
	cold    = "cold"    // nor is the code of the loop and its checks
	bounced = "bounced" // another CPU writes to a word beside the switch
)

var checkCounts = [2]int{1, checksMax}

// A loop makes n turns of checks that count in s.
type loop = func(n int, s *[checksMax]int)

func contenders() []contender {
	return []contender{
		{"bool", [2]loop{bool1, bool32}, []unsafe.Pointer{unsafe.Pointer(&boolLine.v)}},
		{"atomic.Bool", [2]loop{atomicBool1, atomicBool32}, []unsafe.Pointer{unsafe.Pointer(&atomicLine.v)}},
		{"atomic.Pointer", [2]loop{pointer1, pointer32}, []unsafe.Pointer{
			unsafe.Pointer(&pointerLine.v), unsafe.Pointer(pointerLine.v.Load()),
		}},
		{"slog.Enabled", [2]loop{slog1, slog32}, []unsafe.Pointer{
			unsafe.Pointer(&slogLevel.v), unsafe.Pointer(&slogLine.v), unsafe.Pointer(slogLine.v),
		}},
		{"key", [2]loop{key1, key32}, []unsafe.Pointer{unsafe.Pointer(&keyLine.v)}},
	}
}

// constant is the loop with what the checks guard, and without checks.
func constant(on bool) contender {
	if on {
		return contender{name: "const", run: [2]loop{constOn1, constOn32}}
	}
	return contender{name: "const", run: [2]loop{constOff1, constOff32}}
}

// A bench measures all cases.
type bench struct {
	cpus  cpus
	time  time.Duration // for one state of the caches
	tick  float64
	sink  [checksMax]int
	times map[string]*[2]samples
}

// checks measures what checks cost.
func checks(rowTime time.Duration) (*Report, error) {
	c, err := chooseCPUs()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	if err := pinThread(c.own); err != nil {
		return nil, err
	}
	if err := quietpatch.Arm(); err != nil {
		return &Report{Reason: err.Error()}, nil
	}
	if err := armedKey(); err != nil {
		return nil, err
	}
	b := &bench{cpus: c, time: rowTime, tick: tickNS(), times: map[string]*[2]samples{}}
	for _, f := range gaps {
		f(&b.sink) // the linker drops functions that nobody calls
	}
	for i, on := range []bool{false, true} {
		if err := setAll(on); err != nil {
			return nil, err
		}
		if err := b.state(i, on); err != nil {
			return nil, err
		}
		progress("checks: all switches measured, on is %v", on)
	}
	r := &Report{}
	var missing []string
	if r.Checks, missing = b.result(); len(missing) > 0 {
		r.Notes = append(r.Notes, "not measured, because other programs took the CPUs: "+strings.Join(missing, ", "))
	}
	return r, nil
}

// armedKey makes sure that what is called a key is one.
func armedKey() error {
	if err := errors.Join(keyLine.v.Enable(), keyLine.v.Disable()); err != nil {
		return err
	}
	sites, err := keyLine.v.Sites()
	if err != nil {
		return err
	}
	for _, s := range sites {
		if s.State != "armed" {
			return fmt.Errorf("%s (%s:%d): expected an armed site, found one in memory: %s", s.Func, s.File, s.Line, s.Why)
		}
	}
	if len(sites) < 1+checksMax {
		return fmt.Errorf("expected %d sites of the key, found %d", 1+checksMax, len(sites))
	}
	return nil
}

// state measures all switches while they are on, or off. The order is another one
// in each round, so that nobody always comes first, or after the same.
func (b *bench) state(nth int, on bool) error {
	all := append([]contender{constant(on)}, contenders()...)
	shuffle := func() {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	b.rounds(func() {
		shuffle()
		for i := range all {
			b.hot(nth, &all[i])
		}
	})
	b.rounds(func() {
		shuffle()
		for i := range all {
			b.far(nth, evicted, &all[i])
			b.far(nth, cold, &all[i])
		}
	})
	for i := range all {
		if err := b.bounced(nth, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// rounds calls f for the time of a row, and some times at least.
func (b *bench) rounds(f func()) {
	const least = 40
	for start, i := time.Now(), 0; i < least || time.Since(start) < b.time; i++ {
		f()
	}
}

func caseName(name, state string, count int) string {
	return fmt.Sprintf("%s %s %d", name, state, checkCounts[count])
}

func (b *bench) add(c *contender, state string, count, nth int, ns float64) {
	name := caseName(c.name, state, count)
	if b.times[name] == nil {
		b.times[name] = &[2]samples{}
	}
	b.times[name][nth] = append(b.times[name][nth], ns)
}

// hot times many turns.
func (b *bench) hot(nth int, c *contender) {
	for count, run := range c.run {
		turns := 40_000 / checkCounts[count]
		run(turns/10, &b.sink)
		from := ticks()
		run(turns, &b.sink)
		b.add(c, hot, count, nth, float64(ticks()-from)*b.tick/float64(turns))
	}
}

// once times one turn.
func (b *bench) once(run loop) float64 {
	from := ticks()
	run(1, &b.sink)
	return float64(ticks()-from) * b.tick
}

// far times one turn whose switch is in no cache, and for cold its code neither.
// The lines are flushed one by one: a walk through a large buffer leaves some of
// them, and always the same ones.
func (b *bench) far(nth int, state string, c *contender) {
	for count, run := range c.run {
		for range 3 {
			b.once(run)
		}
		for _, p := range c.lines {
			flushLine(p)
		}
		if state == cold {
			flushCode(run)
		}
		b.add(c, state, count, nth, b.once(run))
	}
}

// codeBytes is more than the longest loop with its checks takes. What is flushed
// behind a shorter one is a gap.
const codeBytes = 2048

// flushCode flushes a function: a func value points to where its address stands.
func flushCode(run loop) {
	code := **(**unsafe.Pointer)(unsafe.Pointer(&run))
	for off := 0; off < codeBytes; off += lineSize {
		flushLine(unsafe.Add(code, off))
	}
}

// bouncedLeast is how many measurements of both loops must count before it is
// enough, unless time runs out.
const bouncedLeast = 4 * samplesLeast

// bounced times many turns while another CPU writes beside the switch.
func (b *bench) bounced(nth int, c *contender) error {
	target := &neighbourless
	if len(c.lines) > 0 {
		target = neighbour(c.lines[0])
	}
	other, err := startBusy(b.cpus.busy, func() {
		for range 1000 {
			target.Add(1)
		}
	})
	if err != nil {
		return err
	}
	defer other.end()
	kept := 0
	for start := time.Now(); time.Since(start) < b.time/4 || kept < bouncedLeast && time.Since(start) < b.time; {
		for count, run := range c.run {
			turns := 200_000 / checkCounts[count]
			ns, counts, err := other.time(func() error { run(turns, &b.sink); return nil })
			if err != nil {
				return err
			}
			if counts {
				b.add(c, bounced, count, nth, ns/float64(turns))
				kept++
			}
		}
	}
	return nil
}
