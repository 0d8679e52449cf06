package prog

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
	"golang.org/x/sys/unix"
)

const (
	// gcPercent keeps the collector, which sends interrupts of its own, out of
	// most flips.
	gcPercent = 400
	// oneAtATimeMax: three syncs for each site, and nothing to learn from more.
	oneAtATimeMax = 1000
	// noiseTime is for counting interrupts without flips.
	noiseTime = 300 * time.Millisecond
)

// flips measures all rows on one backend.
func (p Program) flips(backend string, rowTime time.Duration) (*Report, error) {
	c, err := chooseCPUs()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	if err := pinThread(c.own); err != nil {
		return nil, err
	}
	debug.SetGCPercent(gcPercent)
	if err := p.register(0, len(p.Keys)); err != nil {
		return nil, err
	}
	r := &Report{}
	if r.Reason, err = p.arm(backend); err != nil || r.Reason != "" {
		return r, err
	}
	if err := registerSync(); err != nil {
		return nil, err
	}
	m := &meter{program: p, cpus: c, backend: backend, rowTime: rowTime, report: r}
	for i := range p.Groups {
		if err := m.group(&p.Groups[i]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// register names keys: as a program does, and so that Arm knows them.
func (p Program) register(from, to int) error {
	for i := from; i < to; i++ {
		if err := statickey.Register(p.Keys[i].Key, fmt.Sprintf("bench.key%d", i), "a key of the benchmark"); err != nil {
			return err
		}
	}
	return nil
}

// arm arms all keys. The reason says why that is not possible here; an error is
// for what should be.
func (p Program) arm(backend string) (reason string, err error) {
	o := quietpatch.Options{Strategy: quietpatch.StrategyStore, Backend: quietpatch.Backend(backend)}
	if err := quietpatch.Configure(o); err != nil {
		return err.Error(), nil
	}
	if err := quietpatch.Arm(); err != nil {
		return err.Error(), nil
	}
	want := 0
	for _, k := range p.Keys {
		want += k.Sites
	}
	if s := quietpatch.Status(); s.Armed != want {
		return "", fmt.Errorf("%s: expected %d armed sites, found %d of %d: %s%s", backend, want, s.Armed, s.Sites, s.Reason, s.NotArmed)
	}
	return "", nil
}

// strategies are the rows of a group.
var strategies = []string{
	string(quietpatch.StrategyStore), StrategyNoWait, string(quietpatch.StrategyInt3), string(quietpatch.StrategyOneAtATime),
}

// A meter measures the rows of one process.
type meter struct {
	program Program
	cpus    cpus
	backend string
	rowTime time.Duration
	report  *Report
	busy    *busy
	noise   float64 // call IPIs per second; NotMeasured
	on      bool
}

// group measures the rows of one group, with a busy thread that runs some of its
// sites.
func (m *meter) group(g *Group) error {
	funcs := make([]Func, len(g.Busy))
	for i, f := range g.Busy {
		funcs[i] = m.program.Funcs[f]
	}
	var w Work
	var err error
	m.busy, err = startBusy(m.cpus.busy, func() {
		for i, f := range funcs {
			w.Table[255] += f(&w, w.Table[i&255])
		}
	})
	if err != nil {
		return err
	}
	defer m.busy.end()
	m.measureNoise()
	for _, s := range strategies {
		if s == string(quietpatch.StrategyOneAtATime) && g.Sites > oneAtATimeMax {
			continue
		}
		row, err := m.row(g, s)
		if err != nil {
			return fmt.Errorf("%d sites by %s on %s: %w", g.Sites, s, m.backend, err)
		}
		m.report.Flips = append(m.report.Flips, row)
		progress("%s %s, %d sites in %d keys: %d flips, median %.1f us", m.backend, s, row.Sites, row.Keys, row.Flips, float64(row.FlipNS)/1e3)
	}
	return nil
}

func (m *meter) measureNoise() {
	m.noise = NotMeasured
	start := time.Now()
	a, err1 := callIPIs(m.cpus.busy)
	spin(noiseTime)
	b, err2 := callIPIs(m.cpus.busy)
	if err1 == nil && err2 == nil {
		m.noise = float64(b-a) / time.Since(start).Seconds()
		m.report.NoiseIPIs = max(m.report.NoiseIPIs, round3(m.noise))
	}
}

// flip turns the group's keys to their other value.
func (m *meter) flip(g *Group, noWait bool) error {
	on := !m.on
	err := set(m.program.Keys[g.From:g.To], on, noWait)
	if err == nil {
		m.on = on
	}
	return err
}

func set(keys []Key, on, noWait bool) error {
	if len(keys) == 1 && noWait {
		return keys[0].Key.SetNoWait(on)
	}
	if len(keys) == 1 {
		return keys[0].Key.Set(on)
	}
	var b statickey.Batch
	for i := range keys {
		b.Set(keys[i].Key, on)
	}
	if noWait {
		return b.ApplyNoWait()
	}
	return b.Apply()
}

// Membarrier commands, from include/uapi/linux/membarrier.h.
const (
	syncCore     = 1 << 5 // PRIVATE_EXPEDITED_SYNC_CORE
	syncRegister = 1 << 6 // REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
)

// registerSync: the library does so, too, but that is its own business.
func registerSync() error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, syncRegister, 0, 0); errno != 0 {
		return fmt.Errorf("membarrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE): %w", errno)
	}
	return nil
}

// bareSync is what everything is compared with.
func bareSync() error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, syncCore, 0, 0); errno != 0 {
		return fmt.Errorf("membarrier(PRIVATE_EXPEDITED_SYNC_CORE): %w", errno)
	}
	return nil
}

// verify runs every function of the program once for each value of the group's
// keys, and returns how many of its sites were seen to be right.
func (m *meter) verify(g *Group) (int, error) {
	right := 0
	for range 2 {
		var w Work
		for _, f := range m.program.Funcs {
			w.Table[0] += f(&w, w.Table[1])
		}
		n, err := m.program.compare(&w, g, m.on)
		if err != nil {
			return 0, err
		}
		right = n
		if err := m.flip(g, false); err != nil {
			return 0, err
		}
	}
	return right, nil
}

// compare checks what the sites saw. Keys outside of the group are off.
func (p Program) compare(w *Work, g *Group, on bool) (int, error) {
	sites := 0
	for i, k := range p.Keys {
		want := 0
		if i >= g.From && i < g.To {
			sites += k.Sites
			if on {
				want = k.Sites
			}
		}
		if got := int(w.Seen[i]); got != want {
			return 0, fmt.Errorf("key %d has %d sites: expected %d that see it on, found %d", i, k.Sites, want, got)
		}
	}
	if sites != g.Sites {
		return 0, errors.New("the keys of a row have not as many sites as the row says")
	}
	return sites, nil
}
