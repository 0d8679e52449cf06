//go:build linux && amd64

package e2e

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	nightlyFlag = flag.Duration("nightly", 6*time.Second, "how long TestNightly runs, all variants together")
	seedFlag    = flag.Uint64("seed", 0, "of TestNightly; 0 takes one from the clock")
)

// nightlyVariants share the time of TestNightly by weight.
var nightlyVariants = []struct {
	name   string
	weight int
	short  bool // in -short, too
	run    func(*testing.T, *night)
}{
	{"plain", 6, true, nightlyPlain},
	{"kill", 3, true, nightlyKill},
	{"pprof", 2, false, nightlyPprof},
	{"perf", 2, false, nightlyPerf},
	{"cgo", 3, false, nightlyCgo},
}

// TestNightly mixes every operation and strategy on both backends, with
// everything that could disturb them, in processes of their own: alone, killed
// in the middle of flips, under Go's profilers, under perf, and on threads that
// C has started. -nightly says how long.
func TestNightly(t *testing.T) {
	total := *nightlyFlag
	if testing.Short() {
		total = min(total, time.Second)
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%v in all; the first seed is %d", total, seed)
	n := &night{seed: seed, start: time.Now(), printed: time.Now(), sum: map[string]cellReport{}, kinds: map[string]kindReport{}, noise: map[string]int{}}
	weights := 0
	for _, v := range nightlyVariants {
		if v.short || !testing.Short() {
			weights += v.weight
		}
	}
	for _, v := range nightlyVariants {
		if !v.short && testing.Short() {
			continue
		}
		n.share = total * time.Duration(v.weight) / time.Duration(weights)
		t.Run(v.name, func(t *testing.T) { v.run(t, n) })
	}
	t.Logf("the sum of %d processes in %.0f s:\n%s", n.children, time.Since(n.start).Seconds(), n.table(nil))
	if t.Failed() {
		return
	}
	n.judge(t)
}

// lateMax is the share of late traps in percent from which on they are no
// accident. A thread that the kernel takes the CPU from between a trap and its
// handler is late: 0.04 to 0.26 % of the traps on alias, on a loaded 2-CPU VM. Without
// sync 4s it was 3 % and more, without any sync 33 % and more: threads then trap when the
// batch is over. (On procmem writes take so long that nothing shows.) A short night
// has too few traps to tell a loaded machine from a missing sync.
const (
	lateMax     = 2.0
	lateHitsMin = 100_000
	kindsMin    = 50_000 // batches from which on every operation has met every kind of key
)

// judge looks at the sums of all processes.
func (n *night) judge(t *testing.T) {
	t.Helper()
	if n.children == 0 {
		return
	}
	for _, b := range nightlyBackends {
		if c := n.sum["int3 "+b]; c.Flips == 0 || c.Hits == 0 {
			t.Errorf("int3 on %s: %d flips, %d trap hits: the hammer does not hit", b, c.Flips, c.Hits)
		}
	}
	for name, k := range n.kinds {
		if n.batches < kindsMin {
			break
		}
		numbers := name != "counted" && name != "sealed"
		if k.Flips == 0 || k.Verified == 0 || numbers && (k.NoWait == 0 || k.Refused == 0) || name == "counted" && k.Held == 0 {
			t.Errorf("kind %s: %+v: the hammer does not hit", name, k)
		}
	}
	hits := n.sum["int3 alias"].Hits + n.sum["one-at-a-time alias"].Hits
	late := n.sum["int3 alias"].Late + n.sum["one-at-a-time alias"].Late
	if hits < lateHitsMin {
		return
	}
	share := 100 * float64(late) / float64(hits)
	t.Logf("late traps on alias: %.2f %% of %d", share, hits)
	if share > lateMax {
		t.Errorf("%.1f %% of the traps on alias came late, expected at most %.1f %%: threads trap after their batch, is a sync missing?", share, lateMax)
	}
}

var nightlyBackends = []string{"procmem", "alias"}

// childMax is how long one process lives: a fresh one arms anew.
const childMax = time.Minute

// slices divides a time among processes that live no longer than limit.
func (n *night) slices(share, limit time.Duration, f func(d time.Duration)) {
	count := (share + limit - 1) / limit
	for range count {
		f(share / count)
	}
}

func nightlyPlain(t *testing.T, n *night) {
	bin := build(t, nil)
	n.slices(n.share/2, childMax, func(d time.Duration) {
		for _, b := range nightlyBackends {
			n.hammer(t, child{bin: bin, backend: b, d: d})
		}
	})
}

// nightlyCgo changes and checks keys on threads that C has started.
func nightlyCgo(t *testing.T, n *night) {
	cc, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(cc))
	if len(words) == 0 {
		t.Fatal("go env CC printed nothing")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skip("needs a C compiler: ", err)
	}
	bin := build(t, []string{"CGO_ENABLED=1"}, "-tags=withcgo")
	n.slices(n.share/2, childMax, func(d time.Duration) {
		for _, b := range nightlyBackends {
			r := n.hammer(t, child{bin: bin, tags: "-tags=withcgo", backend: b, d: d, args: []string{"-c", "4"}})
			if r.Noise["calls back from C"] == 0 || r.Noise["changes on C threads"] == 0 && d > time.Second {
				t.Errorf("no thread of C has checked, or none has changed keys: %v", r.Noise)
			}
		}
	})
}

// hammered are functions that make checks.
var hammered = []string{
	"main.many", "main.tenValues", "main.inLoop", "main.inlinedTwice", "main.enabled", "main.disabled", "main.and", "main.pick", "main.floats",
	"main.branchesA", "main.branchesB", "main.branchesC", "main.branchesE", "main.twoA", "main.twoB", "main.twoC", "main.twoD", "main.twoE",
	"main.flagsE", "main.counted", "main.sealed", "main.late", "main.one32", "main.one64", "main.deepC", "main.grow", "main.switch32",
	"main.threeWay32", "main.compares32", "main.loads32", "main.compares64", "main.far64", "main.loads64", "main.comparesU32",
	"main.loadsU32", "main.comparesD", "main.loadsD",
}

// nightlyPprof runs Go's profilers at high rates all the time, and reads what
// they wrote.
func nightlyPprof(t *testing.T, n *night) {
	bin := build(t, nil)
	n.slices(n.share/2, childMax, func(d time.Duration) {
		for _, b := range nightlyBackends {
			dir := t.TempDir()
			n.hammer(t, child{bin: bin, backend: b, d: d, args: []string{"-profiles", dir}})
			for name, names := range map[string][]string{
				"cpu":   hammered, // a short run may miss most
				"block": {"main.(*nightly)"},
				"mutex": {"engine.(*Engine)"},
			} {
				out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", bin, filepath.Join(dir, name)).CombinedOutput()
				if err != nil {
					t.Fatalf("go tool pprof, %s profile on %s: %v\n%s", name, b, err, tail(string(out)))
				}
				if !slices.ContainsFunc(names, func(f string) bool { return strings.Contains(string(out), f) }) {
					t.Errorf("the %s profile on %s names none of %q:\n%s", name, b, names, tail(string(out)))
				}
			}
		}
	})
}

const (
	perfMax    = 10 * time.Second // bounds what perf writes per process: about 10 MB
	perfEnough = 2000             // samples; about 20 of them in the functions asked for
)

// nightlyPerf samples stacks by perf. On procmem every function is named as
// ever; on alias, pages with sites are not (see TestPerf), but samples must not
// break them.
func nightlyPerf(t *testing.T, n *night) {
	if _, err := exec.LookPath("perf"); err != nil {
		t.Skip("needs perf (Debian: linux-perf)")
	}
	record := []string{"perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-o"}
	probe := append(slices.Clone(record[1:]), filepath.Join(t.TempDir(), "probe"), "/bin/true")
	if out, err := exec.Command(record[0], probe...).CombinedOutput(); err != nil {
		t.Skipf("needs perf record -e cpu-clock: %v: %s", err, tail(string(out)))
	}
	bin := build(t, nil)
	n.slices(n.share/2, perfMax, func(d time.Duration) {
		for _, b := range nightlyBackends {
			data := filepath.Join(t.TempDir(), "perf.data")
			n.hammer(t, child{bin: bin, backend: b, d: d, under: append(slices.Clone(record), data)})
			samples, named, whole := perfScript(t, data)
			t.Logf("perf on %s: %d samples, %d in functions of the hammer, %d of these with their caller", b, samples, named, whole)
			if samples == 0 || b == "procmem" && samples >= perfEnough && (named == 0 || whole == 0) {
				t.Errorf("perf on %s names %d of %d samples, %d with their caller", b, named, samples, whole)
			}
			_ = os.Remove(data)
		}
	})
}

// perfScript counts samples, those taken in the functions that make most checks, and
// those of them whose stack names the caller.
func perfScript(t *testing.T, data string) (samples, named, whole int) {
	t.Helper()
	cmd := exec.Command("perf", "script", "-i", data, "-F", "comm,tid,ip,sym")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stack []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := lines.Text(); line != "" {
			stack = append(stack, line)
			continue
		}
		samples++
		if len(stack) > 1 && slices.ContainsFunc(hammered, func(f string) bool {
			return strings.HasSuffix(stack[1], " "+f)
		}) {
			named++
			if strings.Contains(strings.Join(stack, "\n"), "main.(*nightly).round") {
				whole++
			}
		}
		stack = stack[:0]
	}
	if err := cmd.Wait(); err != nil || lines.Err() != nil {
		t.Fatalf("perf script: %v, %v\n%s", err, lines.Err(), tail(errs.String()))
	}
	return samples, named, whole
}

// table shows the counts so far, with those of the process that runs now.
func (n *night) table(now *nightlyReport) string {
	sum := map[string]cellReport{}
	for k, c := range n.sum {
		sum[k] = c
	}
	kinds := map[string]kindReport{}
	for k, c := range n.kinds {
		kinds[k] = c
	}
	if now != nil {
		now.addTo(sum)
		now.addKindsTo(kinds)
	}
	var rows []string
	for k, c := range sum {
		rows = append(rows, fmt.Sprintf("  %-22s %9d flips %9d batches %14d checks %12d verified %d wrong %10d trap hits %7d late %4d retried %6d arms %6d disarms",
			k, c.Flips, c.Batches, c.Checks, c.Verified, c.Wrong, c.Hits, c.Late, c.Retried, c.Arms, c.Disarms))
	}
	slices.Sort(rows)
	at := len(rows)
	for name, k := range kinds {
		rows = append(rows, fmt.Sprintf("  %-22s %9d flips %12d verified %d wrong %7d without waiting %7d refused %7d matched %9d held",
			name, k.Flips, k.Verified, k.Wrong, k.NoWait, k.Refused, k.Matched, k.Held))
	}
	slices.Sort(rows[at:])
	return strings.Join(rows, "\n") + fmt.Sprintf("\n  of the engine: %d batches, %d events, %d syncs, %d pokes; %d storms; %d killed; %v",
		n.batches, n.events, n.syncs, n.pokes, n.storms, n.killed, n.noise)
}
