//go:build linux && amd64

package calibrate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/host"
	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/text"
	"github.com/quietpatch/quietpatch/internal/trap"
	"github.com/quietpatch/quietpatch/statickey"
)

const (
	procmem = text.Procmem
	alias   = text.Alias

	syncRounds  = 3000            // of which the busy thread must feel each
	syncLeast   = 200             // fewer are no measurement
	syncTime    = 4 * time.Second // then it is enough, however few
	blockRounds = 300             // of measurements that need many turns to be longer than the clock is coarse
	syncTurns   = 16
	shortTurns  = 1000
	sitesTime   = 2 * time.Second // for a measurement at all sites
	sitesLeast  = 20              // blocks of it that must count
)

// spin waits without giving up the CPU.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// block times turns calls of f, several times, and returns ns per turn.
func block(rounds, turns int, f func() error) (samples, error) {
	var s samples
	for range rounds {
		start := time.Now()
		for range turns {
			if err := f(); err != nil {
				return nil, err
			}
		}
		s = append(s, float64(time.Since(start))/float64(turns))
	}
	return s, nil
}

// addresses returns where the sites of a key are.
func addresses(k *statickey.Bool) ([]uintptr, error) {
	sites, err := k.Sites()
	if err != nil {
		return nil, err
	}
	var addrs []uintptr
	for _, s := range sites {
		addrs = append(addrs, uintptr(s.Addr))
	}
	return addrs, nil
}

// syncs measures a sync without and with a busy CPU, and what of it the busy
// CPU feels.
func (r *run) syncs() error {
	if err := barrier.Register(); err != nil {
		return err
	}
	base, err := block(blockRounds, syncTurns, barrier.SyncCore)
	if err != nil {
		return err
	}
	r.set(scale.SyncBase, base)
	self, _ := block(blockRounds, shortTurns, func() error { barrier.SerializeSelf(); return nil })
	r.set(scale.Serialize, self)

	log := newGapLog()
	b, err := startBusy(r.busyCPU, log.watch)
	if err != nil {
		return err
	}
	defer b.end()
	f := &felt{log: log}
	for start := time.Now(); len(f.whole) < syncRounds && time.Since(start) < syncTime; f.rounds++ {
		if err := f.round(); err != nil {
			return err
		}
	}
	if len(f.whole) < syncLeast {
		return fmt.Errorf("the busy thread on CPU %d felt %d of %d syncs, expected %d at least: the machine is too busy with other things",
			r.busyCPU, len(f.whole), f.rounds, syncLeast)
	}
	r.set(scale.IPIPause, f.pause)
	r.set(scale.IPISend, f.until.minus(base.median()))
	r.set(scale.IPILatency, f.answer)
	r.note("a sync with one busy CPU takes %.1f us (%.1f to %.1f); %d of %d interrupted the busy thread exactly once, and only those count",
		f.whole.median()/1e3, f.whole.at(10)/1e3, f.whole.at(90)/1e3, len(f.whole), f.rounds)
	return nil
}

// felt is what came of syncs, seen from both CPUs.
type felt struct {
	log    *gapLog
	rounds int
	whole  samples // the call of the sync
	until  samples // from the call to the start of the gap
	answer samples // from there to the end of the call
	pause  samples // the gap
}

// round makes one sync. A round in which the busy thread had no gap, or more
// than one, does not count: it was elsewhere, or something else came.
func (f *felt) round() error {
	spin(restTime)
	seen := f.log.count.Load()
	start := f.log.now()
	err := barrier.SyncCore()
	end := f.log.now()
	spin(restTime) // the gap is written when it is over
	if gaps := f.log.within(seen, start, end); len(gaps) == 1 && gaps[0].from >= start {
		f.whole = append(f.whole, float64(end-start))
		f.until = append(f.until, float64(gaps[0].from-start))
		f.answer = append(f.answer, float64(end-gaps[0].from))
		f.pause = append(f.pause, float64(gaps[0].to-gaps[0].from))
	}
	return err
}

// traps measures what goes with trap bytes: the question for a tracer, the
// vector, one trap.
func (r *run) traps() error {
	ready, err := block(blockRounds, syncTurns, func() error {
		_, err := host.TracerPID()
		return errors.Join(err, trap.Check())
	})
	if err != nil {
		return err
	}
	r.set(scale.Ready, ready)
	if err := r.publish(); err != nil {
		return err
	}
	check, err := block(blockRounds, syncTurns, trap.Check)
	if err != nil {
		return err
	}
	// The self-test: check the handler, publish one entry, trap, retire.
	test, err := block(blockRounds, syncTurns, trap.SelfTest)
	if err != nil {
		return err
	}
	r.set(scale.Trap, test.minus(check.median()))
	return nil
}

// publish measures what the engine does to publish a vector of our sites.
func (r *run) publish() error {
	var codes []insn.Code
	for _, a := range r.large {
		c := insn.Code{N: 7}
		binary.LittleEndian.PutUint64(c.B[:], text.Load(a, 7))
		if f, _, ok := insn.Recognize(c.Bytes()); !ok || f != insn.CmpByte {
			return fmt.Errorf("text at %#x: expected a comparison with a byte, found % x", a, c.Bytes())
		}
		codes = append(codes, c)
	}
	entries := make([]trap.Entry, 0, trap.VectorMax)
	s, err := block(blockRounds, 1, func() error {
		entries = entries[:0]
		for i, c := range codes {
			em, err := insn.Emulate(insn.CmpByte, c, 1)
			if err != nil {
				return err
			}
			entries = append(entries, trap.Entry{
				Addr: r.large[i], Resume: r.large[i] + 7, Slot: trap.NoSlot, FlagsClear: em.FlagsClear, FlagsSet: em.FlagsSet,
			})
		}
		return trap.Publish(entries)
	})
	trap.Retire()
	if err != nil {
		return err
	}
	r.set(scale.Publish, perSite(s, len(codes)))
	return nil
}

func perSite(s samples, sites int) samples {
	for i := range s {
		s[i] /= float64(sites)
	}
	return s
}

// sharedCaches is how many times longer than a word of its own a CPU takes for
// a word that another CPU wrote last, if the two share their caches.
const sharedCaches = 1.5

// deferral measures one compare-and-swap on the word of an isolated thread,
// which that thread wrote last: its cache line has to come over.
func (r *run) deferral() error {
	remote, err := r.swaps(true)
	if err != nil {
		return err
	}
	local, err := r.swaps(false)
	if err != nil {
		return err
	}
	r.set(scale.Defer, remote)
	if remote.median() < sharedCaches*local.median() {
		r.note("CPU %d changes what CPU %d wrote as fast as what it wrote itself (%.1f ns, %.1f ns): they share their caches, as two threads"+
			" of one core do. Between cores, %s and the pokes of alias cost more.", r.flipCPU, r.busyCPU, remote.median(), local.median(), scale.Defer)
	}
	return nil
}

// swaps measures compare-and-swaps on words, which the busy thread has written
// last if remote is true.
func (r *run) swaps(remote bool) (samples, error) {
	type word struct {
		state atomic.Uint64
		_     [15]uint64 // two lines: CPUs fetch neighbours in pairs
	}
	words := make([]word, 512)
	var turn atomic.Int64 // odd: that of the busy thread
	b, err := startBusy(r.busyCPU, func() {
		if turn.Load()%2 == 0 {
			return
		}
		for i := range words {
			if remote {
				words[i].state.Add(2)
			}
		}
		turn.Add(1)
	})
	if err != nil {
		return nil, err
	}
	defer b.end()
	const stride = 229 // in an order that no CPU guesses
	var s samples
	for range blockRounds {
		turn.Add(1)
		for turn.Load()%2 == 1 {
		}
		start := time.Now()
		for i := range words {
			w := &words[i*stride%len(words)].state
			old := w.Load()
			w.CompareAndSwap(old, old|1)
		}
		s = append(s, float64(time.Since(start))/float64(len(words)))
	}
	return s, nil
}

// source is our text as the compiler made it. Nothing in it is armed while
// pokes are measured.
type source struct{ r *run }

func (s source) Original(addr, n uintptr) []byte { return s.r.image.Original(addr, n) }
func (s source) Ours(uintptr, byte) bool         { return false }

// pokes writes bytes over themselves in text that the busy thread runs through.
func (r *run) pokes(backend string) error {
	lo, hi := r.image.Range()
	t, err := text.Open(backend, lo, hi, source{r})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := errors.Join(t.Prepare(r.large), t.Begin()); err != nil {
		return err
	}
	var sink [5]int
	b, err := startBusy(r.busyCPU, func() { passLarge(&sink) })
	if err != nil {
		return err
	}
	defer b.end()
	poke, tail := scale.PokeProcmem, scale.TailProcmem
	if backend == alias {
		poke, tail = scale.PokeAlias, scale.TailAlias
	}
	if err := r.eachSite(b, scale.Compare, func(a uintptr) error {
		if text.Load(a, 7) == 0 {
			return fmt.Errorf("text at %#x: expected an instruction, found zeros", a)
		}
		return nil
	}); err != nil {
		return err
	}
	one := func(a uintptr) error { w := text.Load(a, 1); return t.Poke(a, 1, w, w) }
	rest := func(a uintptr) error { w := text.Load(a+1, 6); return t.Poke(a+1, 6, w, w) }
	for range 3 { // the first write to a page copies it
		if err := all(r.large, one); err != nil {
			return err
		}
	}
	return errors.Join(r.eachSite(b, poke, one), r.eachSite(b, tail, rest))
}

// eachSite makes a parameter of ns per site.
func (r *run) eachSite(b *busy, name string, f func(uintptr) error) error {
	var s samples
	made := 0
	for start := time.Now(); len(s) < blockRounds && time.Since(start) < sitesTime; made++ {
		ns, counts, err := b.time(func() error { return all(r.large, f) })
		if err != nil {
			return err
		}
		if counts {
			s = append(s, ns/float64(len(r.large)))
		}
	}
	if len(s) < sitesLeast {
		return fmt.Errorf("%s: other programs left both CPUs alone in %d of %d rounds, expected %d at least", name, len(s), made, sitesLeast)
	}
	r.set(name, s)
	return nil
}

func all(sites []uintptr, f func(uintptr) error) error {
	for _, a := range sites {
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}
