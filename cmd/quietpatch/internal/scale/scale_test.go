package scale

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/trap"
)

var everyStrategy = []protocol.Strategy{protocol.Store, protocol.Int3, protocol.OneAtATime}

func TestCount(t *testing.T) {
	for _, s := range everyStrategy {
		for _, sites := range []int{1, 2, 56, trap.VectorMax, trap.VectorMax + 1, 100_000} {
			n, err := Count(s, sites)
			if err != nil {
				t.Fatal(err)
			}
			if want := protocol.Syncs(protocol.Plan{Strategy: s, Sites: sites, VectorMax: trap.VectorMax}); n.Syncs != want {
				t.Errorf("%v, %d sites: %d syncs, want %d", s, sites, n.Syncs, want)
			}
			pokes, published := sites, 0
			if s != protocol.Store {
				pokes, published = 3*sites, sites
			}
			if n.Pokes() != pokes || n.Published != published || n.Compared != sites {
				t.Errorf("%v, %d sites: %d pokes, %d published, %d compared; want %d, %d, %d",
					s, sites, n.Pokes(), n.Published, n.Compared, pokes, published, sites)
			}
			trapped := 0
			for _, c := range n.Chunks {
				trapped += c.Sites * c.Times
			}
			if trapped != published {
				t.Errorf("%v, %d sites: chunks %v hold %d sites, want %d", s, sites, n.Chunks, trapped, published)
			}
		}
	}
}

// TestKnownNumbers: those of the kernel's batching series, and ours.
func TestKnownNumbers(t *testing.T) {
	r := study(t, Options{CPUs: []int{24}, Sites: []int{56}, Isolated: 18})
	want := map[string]int{"store": 1, "int3": 3, "one-at-a-time": 168, "store-deferred": 1, "int3-deferred": 3}
	seen := map[string]bool{}
	for _, row := range r.Rows {
		seen[row.Strategy] = true
		busy := 23
		if strings.HasSuffix(row.Strategy, "-deferred") {
			busy = 5
		}
		if n := want[row.Strategy]; row.Syncs != n || row.IPIsPerCPU != n || row.IPIs != n*busy {
			t.Errorf("%s: %d syncs, %d IPIs per CPU, %d in all; want %d, %d, %d", row.Strategy, row.Syncs, row.IPIsPerCPU, row.IPIs, n, n, n*busy)
		}
	}
	if len(seen) != len(want) || len(r.Rows) != len(want)*len(Backends()) {
		t.Errorf("%d rows with the strategies %v, want %v on %v", len(r.Rows), seen, want, Backends())
	}
	for _, p := range r.Published {
		if p.ModelIPIs != p.IPIsPerCPU {
			t.Errorf("%s: the model has %d IPIs, the kernel %d", p.What, p.ModelIPIs, p.IPIsPerCPU)
		}
	}
}

func study(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// round are parameters that can be added up by hand.
func round() Params {
	ps := Builtin()
	for name, v := range map[string]float64{
		SyncBase: 100, IPISend: 10, IPILatency: 1000, IPIPause: 500, Serialize: 40, Defer: 7, Ready: 5000, Compare: 1, Publish: 2,
		Engine: 0, PokeProcmem: 20, TailProcmem: 30, PokeAlias: 3, TailAlias: 4, Trap: 2000, CheckRate: 0,
	} {
		ps.Set(name, v, v, v, 1)
	}
	return ps
}

// TestModel adds up by hand.
func TestModel(t *testing.T) {
	// Syncs of 4 other CPUs: 1110, 1140, 100+4*1010.
	// Syncs of 1 other CPU, called by its name, and 3 deferred: 1110 + 3*7.
	for _, c := range []struct {
		cpus, isolated int
		strategy       string
		backend        string
		want           Bounds
		trapped        float64
	}{
		{5, 0, "store", "procmem", Bounds{1110 + 10*21, 1140 + 10*21, 4140 + 10*21}, 0},
		{5, 0, "store", "alias", Bounds{1110 + 10*4, 1140 + 10*4, 4140 + 10*4}, 0},
		{5, 0, "int3", "procmem", Bounds{5000 + 3*1110 + 10*73, 5000 + 3*1140 + 10*73, 5000 + 3*4140 + 10*73}, 2*1140 + 10*50},
		{5, 0, "one-at-a-time", "alias", Bounds{5000 + 30*1110 + 10*13, 5000 + 30*1140 + 10*13, 5000 + 30*4140 + 10*13}, 2*1140 + 7},
		{5, 3, "store-deferred", "alias", Bounds{1131 + 40, 1131 + 40, 1131 + 40}, 0},
		{5, 2, "store-deferred", "alias", Bounds{1124 + 40, 2*1110 + 14 + 40, 2*1110 + 14 + 40}, 0},
		{5, 4, "store-deferred", "alias", same(40 + 28 + 40), 0},
		{5, 9, "store-deferred", "alias", same(40 + 28 + 40), 0},
		{1, 0, "store", "alias", same(100 + 40), 0},
	} {
		v, ok := variantOf(c.strategy)
		if !ok {
			t.Fatalf("no strategy %s", c.strategy)
		}
		row, err := newModel(round()).row(c.cpus, c.isolated, 10, v, c.backend)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Bounds{row.FlipMinNs, row.FlipNs, row.FlipMaxNs}); !near(got.Min, c.want.Min) || !near(got.Mid, c.want.Mid) || !near(got.Max, c.want.Max) {
			t.Errorf("%d CPUs, %d isolated, %s on %s: %v, want %v", c.cpus, c.isolated, c.strategy, c.backend, got, c.want)
		}
		if !near(row.TrappedNs, c.trapped) {
			t.Errorf("%s on %s: trapped for %v, want %v", c.strategy, c.backend, row.TrappedNs, c.trapped)
		}
		if want := float64(row.IPIsPerCPU) * 500; row.IPIPauseNs != want {
			t.Errorf("%s on %s: pause %v, want %v", c.strategy, c.backend, row.IPIPauseNs, want)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// TestTraps: with few checks every one that falls into the time when its site
// is trapped is a trap; with endless checks a thread traps all the time.
func TestTraps(t *testing.T) {
	n, err := Count(protocol.Int3, 10)
	if err != nil {
		t.Fatal(err)
	}
	c, m := round().costs("procmem"), machine{targets: 4}
	running := 2*(1140-500) + 10*30.0
	c.checkRate = 1e-9 // of all sites, per ns
	if got, want := traps(n, c, m), c.checkRate*(running+10*20.0); math.Abs(got/want-1) > 1e-3 {
		t.Errorf("few checks: %v traps, want %v", got, want)
	}
	c.checkRate = 1e9
	if got, want := traps(n, c, m), (running+2*10*20)/c.trap; math.Abs(got/want-1) > 1e-3 {
		t.Errorf("endless checks: %v traps, want %v", got, want)
	}
	one, err := Count(protocol.OneAtATime, 10)
	if err != nil {
		t.Fatal(err)
	}
	// One site at a time: a tenth of the checks, ten times.
	c.checkRate = 1e-9
	if got, want := traps(one, c, m), c.checkRate*(2*(1140-500)+30+20); math.Abs(got/want-1) > 1e-3 {
		t.Errorf("one at a time: %v traps, want %v", got, want)
	}
	// The two forms of the integral meet.
	if a, b := ramp(1, 0.999e-6), ramp(1, 1.001e-6); math.Abs(a/b-1) > 1e-5 {
		t.Errorf("ramp jumps from %v to %v", a, b)
	}
}

// TestMonotonic: more CPUs or more sites never cost less, and the bounds are
// in order.
func TestMonotonic(t *testing.T) {
	o := Options{CPUs: []int{1, 2, 3, 8, 24, 256, 4096}, Sites: []int{1, 2, 56, 1024, 1025, 20_000}, Isolated: 2}
	r := study(t, o)
	type key struct {
		cpus, sites       int
		strategy, backend string
	}
	rows := map[key]Row{}
	for _, row := range r.Rows {
		rows[key{row.CPUs, row.Sites, row.Strategy, row.Backend}] = row
		if row.FlipMinNs > row.FlipNs || row.FlipNs > row.FlipMaxNs || row.FlipMinNs <= 0 {
			t.Errorf("%+v: the bounds are not in order", row)
		}
	}
	check := func(small, large Row, smallOK, largeOK bool) {
		if !smallOK || !largeOK {
			return // no deferred row for one CPU
		}
		if large.FlipNs < small.FlipNs || large.FlipMaxNs < small.FlipMaxNs || large.IPIs < small.IPIs || large.IPIPauseNs < small.IPIPauseNs {
			t.Errorf("a larger one costs less:\n%+v\n%+v", small, large)
		}
	}
	for k := range rows {
		for i := range o.CPUs[1:] {
			if k.strategy == "store-deferred" || k.strategy == "int3-deferred" {
				break // with two isolated CPUs the first of those that are not costs a jump, from none
			}
			a, aOK := rows[key{o.CPUs[i], k.sites, k.strategy, k.backend}]
			b, bOK := rows[key{o.CPUs[i+1], k.sites, k.strategy, k.backend}]
			check(a, b, aOK, bOK)
		}
		for i := range o.Sites[1:] {
			a, aOK := rows[key{k.cpus, o.Sites[i], k.strategy, k.backend}]
			b, bOK := rows[key{k.cpus, o.Sites[i+1], k.strategy, k.backend}]
			check(a, b, aOK, bOK)
		}
	}
}

func TestIsolated(t *testing.T) {
	for _, c := range []struct{ asked, cpus, want int }{
		{MostIsolated, 24, 18}, {MostIsolated, 2, 1}, {MostIsolated, 1, 0}, {0, 24, 0}, {5, 24, 5}, {24, 24, 23}, {4096, 24, 23},
	} {
		if got := (Options{Isolated: c.asked}).isolatedOf(c.cpus); got != c.want {
			t.Errorf("isolated %d of %d CPUs: %d, want %d", c.asked, c.cpus, got, c.want)
		}
	}
	for _, row := range study(t, Options{CPUs: []int{4}, Sites: []int{56}, Isolated: 0}).Rows {
		if row.Isolated != 0 || strings.Contains(row.Strategy, "deferred") {
			t.Errorf("a deferred row although no CPU is isolated: %+v", row)
		}
	}
	for _, row := range study(t, Options{CPUs: []int{4}, Sites: []int{56}, Isolated: 3}).Rows {
		if strings.Contains(row.Strategy, "deferred") && (row.IPIs != 0 || row.IPIPauseNs != 0 || row.TrapPauseNs != 0 || row.IsolatedPauseNs <= 0) {
			t.Errorf("all others are isolated, and yet: %+v", row)
		}
	}
}

func TestParseList(t *testing.T) {
	got, err := ParseList("--cpus", " 256,24 ,24,4096", MaxCPUs)
	if err != nil || !slices.Equal(got, []int{24, 256, 4096}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "-1", "4097", "24,", "x", "1.5", "1e3", "24;56", "99999999999999999999"} {
		_, err := ParseList("--cpus", bad, MaxCPUs)
		if err == nil || !strings.Contains(err.Error(), "--cpus") || !strings.Contains(err.Error(), "\""+bad+"\"") {
			t.Errorf("%q: error %v; want one that names the flag and the value", bad, err)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Options{CPUs: []int{1, MaxCPUs}, Sites: []int{1, MaxSites}, Isolated: MaxCPUs}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Options{
		{Sites: []int{1}},
		{CPUs: []int{1}},
		{CPUs: []int{0}, Sites: []int{1}},
		{CPUs: []int{MaxCPUs + 1}, Sites: []int{1}},
		{CPUs: []int{1}, Sites: []int{-1}},
		{CPUs: []int{1}, Sites: []int{MaxSites + 1}},
		{CPUs: []int{1}, Sites: []int{1}, Isolated: -2},
		{CPUs: []int{1}, Sites: []int{1}, Isolated: MaxCPUs + 1},
	} {
		if _, err := Run(bad, nil); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// TestBuiltin: every name has one parameter, with a value and a meaning.
func TestBuiltin(t *testing.T) {
	names := []string{
		SyncBase, IPISend, IPILatency, IPIPause, Serialize, Defer, Ready, Compare, Publish, Engine,
		PokeProcmem, TailProcmem, PokeAlias, TailAlias, Trap, CheckRate,
	}
	ps := Builtin()
	if len(ps) != len(names) {
		t.Errorf("%d parameters, want %d", len(ps), len(names))
	}
	for _, name := range names {
		p := ps.At(name)
		if p.Name != name || p.Value <= 0 || p.Unit == "" || p.Meaning == "" || p.P10 > p.Value || p.Rounds > 0 && p.P90 < p.Value {
			t.Errorf("%s: %+v", name, p)
		}
		if want := map[bool]string{true: SourceAssumed, false: SourceBuiltin}[name == CheckRate]; p.Source != want {
			t.Errorf("%s: source %q, want %q", name, p.Source, want)
		}
	}
}

// measured are flips whose time is known from the parameters.
func measured() *Measured {
	m := &Measured{Params: round(), Machine: "a machine", Notes: []string{"a note"}}
	m.Params.Set(Engine, 99, 99, 99, 1) // to be replaced
	m.Validation = []Validation{
		// 1110 + 10*(1+3) + 30 passes of 5 ns
		{CPUs: 2, Sites: 10, Strategy: "store", Backend: "alias", Flips: 9, MeasuredNs: 1110 + 40 + 150, BusyEnough: true},
		{CPUs: 2, Sites: 10, Strategy: "int3", Backend: "procmem", Flips: 9, MeasuredNs: 4710, BusyEnough: true, ChecksPerSec: 1e9},
		{CPUs: 2, Sites: 99, Strategy: "store", Backend: "alias", Flips: 9, MeasuredNs: 1e9, BusyEnough: false},
	}
	return m
}

func TestPredict(t *testing.T) {
	r, err := Run(Options{CPUs: []int{2}, Sites: []int{10}}, measured())
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Params.At(Engine); !near(p.Value, 5) || p.Source != SourceFitted || p.Rounds != 0 {
		t.Errorf("engine_ns %+v, want 5, fitted", p)
	}
	v := r.Validation
	if !v[0].Fitted || v[1].Fitted || v[2].Fitted {
		t.Errorf("fitted %v %v %v, want the first only", v[0].Fitted, v[1].Fitted, v[2].Fitted)
	}
	if !near(v[0].Ratio, 1) {
		t.Errorf("the row that was fitted has the ratio %v", v[0].Ratio)
	}
	// 5000 + 3*1110 + 10*73 + 50 passes of 5 ns
	if want := 5000 + 3*1110 + 730 + 250.0; !near(v[1].PredictedNs, want) || !near(v[1].Ratio, want/4710) || v[1].PredictSyncs != 3 || v[1].PredictTraps <= 0 {
		t.Errorf("%+v, want %v predicted", v[1], want)
	}
	if !r.Calibrated || r.Machine != "a machine" {
		t.Errorf("calibrated %v, machine %q", r.Calibrated, r.Machine)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a note", "not trustworthy", "engine_ns comes from this row", "leaves out", "one-at-a-time"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q", want)
		}
	}
}

func TestJSON(t *testing.T) {
	for name, m := range map[string]*Measured{"built-in": nil, "measured": measured()} {
		r, err := Run(Options{CPUs: []int{24}, Sites: []int{56}, Isolated: MostIsolated}, m)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Parameters []map[string]any
			Calibrated *bool
			Rows       []map[string]any
			Validation []map[string]any
			LeavesOut  []string `json:"leaves_out"`
		}
		d := json.NewDecoder(&b)
		if err := d.Decode(&got); err != nil || d.More() {
			t.Fatalf("%s: %v, more %v", name, err, d.More())
		}
		if got.Calibrated == nil || *got.Calibrated != (m != nil) || len(got.Parameters) != len(Builtin()) || len(got.Rows) != 10 || len(got.LeavesOut) == 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if got.Validation == nil {
			t.Errorf("%s: validation is null, want a list", name)
		}
		for _, field := range []string{
			"cpus", "sites", "strategy", "backend", "syncs", "ipis", "ipis_per_busy_cpu", "flip_ns", "flip_min_ns", "flip_max_ns",
			"ipi_pause_ns", "trap_pause_ns", "traps_per_busy_cpu", "trapped_ns", "isolated_cpus",
		} {
			if _, ok := got.Rows[0][field]; !ok {
				t.Errorf("%s: a row has no %s", name, field)
			}
		}
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[float64]string{0: "0 ns", 4.5: "4.50 ns", 999.4: "999 ns", 999.9: "1.00 us", 12345: "12.3 us", 1e6: "1.00 ms", 57e6: "57.0 ms", 3.5e12: "3500 s"} {
		if got := duration(ns); got != want {
			t.Errorf("duration(%v) = %q, want %q", ns, got, want)
		}
	}
}
