package isolated

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a result with round numbers. They are not measurements.
func sample() *Result {
	r := newResult(10_000, 3, []int{0, 1, 2, 3})
	r.Sites, r.Calls, r.Mode, r.Strategy, r.Backend = 56, 1, modeLive, "store", "procmem"
	r.Assurance, r.SyncAssurance = "promised by the CPU's manual", "measured only"
	r.KernelCrossingNS, r.KernelCrossingOwedNS, r.CrossingsOwed, r.ReturnNS, r.TicksPerNS = 40, 80, 1000, 2_500_000, 2.5
	r.Noise = Phase{
		CallIPIs: 100, TLBIPIs: 5, RescheduleIPIs: 7, WakeIPIs: 90, TimerTicks: 250,
		AllCallIPIs: 120, AllTLBIPIs: 6, AllRescheduleIPIs: 9, GapNSMax: 30_000, GapNSP9999: 20, GapNSP9999Time: 21_550,
		Readings: 50_000_300, GapsLong: 290, LostNS: 4_000_000, StopsByGo: 90, StopNSMax: 70_000, StopNS: 900_000,
		Slept: 90, Preempted: 1, CPUShare: 1, DurationMS: 1000, FlipNS: notMeasured,
		Gaps: []Bucket{{0, 50_000_000}, {64, 10}, {128, 0}, {256, 0}, {512, 0}, {1024, 40}, {2048, 0}, {4096, 0}, {8192, 0}, {16384, 250}},
	}
	r.Deferred = r.Noise
	r.Deferred.CallIPIs, r.Deferred.TLBIPIs, r.Deferred.StopsByGo, r.Deferred.Slept, r.Deferred.WakeIPIs = 150, 8, 140, 140, 140
	r.Deferred.AllCallIPIs = 170
	r.Deferred.FlipsDone, r.Deferred.FlipNS, r.Deferred.Retargets, r.Deferred.Unmaps = 10_000, 60_100, 200, 200
	r.Deferred.Collections, r.Deferred.Processes, r.Deferred.Syncs, r.Deferred.SyncsDeferred = 20, 70, 10_600, 10_600
	r.Deferred.UnmapsHeld = 200
	r.NotDeferred = r.Deferred
	r.NotDeferred.CallIPIs, r.NotDeferred.TLBIPIs, r.NotDeferred.SyncsDeferred, r.NotDeferred.UnmapsHeld, r.NotDeferred.FlipNS = 10_900, 210, 0, 0, 70_400
	r.NotDeferred.GapsLong, r.NotDeferred.LostNS, r.NotDeferred.DurationMS = 11_000, 50_000_000, 1200
	r.NotDeferred.Gaps = slices.Clone(r.Noise.Gaps)
	r.NotDeferred.Gaps[7].Count = 10_700
	r.NotDeferred.AllCallIPIs = 10_930
	r.CountedBy = "eBPF, raw tracepoints: what this process sent"
	r.Notes = append(r.Notes, "a note")
	r.judge()
	return &r
}

// memorySample is a run in which nothing is patched, on a machine that counts no interrupts,
// ended by the user in the second phase.
func memorySample() *Result {
	r := newResult(1000, 1, []int{0, 1})
	r.Mode, r.Reason, r.Backend, r.Interrupted = "memory", "the environment says none", "none", true
	r.Deferred = sample().Deferred
	r.Deferred.CallIPIs, r.Deferred.TLBIPIs, r.Deferred.RescheduleIPIs, r.Deferred.TimerTicks = notMeasured, notMeasured, notMeasured, notMeasured
	r.Deferred.WakeIPIs, r.Deferred.AllCallIPIs, r.CountedBy = notMeasured, notMeasured, byInterrupts
	r.Deferred.Syncs, r.Deferred.SyncsDeferred = 0, 0
	r.judge()
	return &r
}

func TestWriteTable(t *testing.T) {
	failed := sample()
	failed.Violations, failed.Violated = 1, "main.loop (main.go:7)"
	failed.judge()
	for name, r := range map[string]*Result{
		"table-live.golden": sample(), "table-memory.golden": memorySample(), "table-failed.golden": failed,
	} {
		var b strings.Builder
		if err := r.WriteTable(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s(go test -update writes the file)", name, b.String(), want)
		}
	}
}

func TestBar(t *testing.T) {
	for n, want := range map[uint64]int{0: 0, 1: 1, 10: 3, 1000: 7, 100_000_000: 17, 1 << 63: barWidth} {
		if got := bar(n); len(got) != want {
			t.Errorf("bar of %d: %q, want %d characters", n, got, want)
		}
	}
}

// Scripts read these fields: the names are a promise.
func TestJSONFields(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal([]byte(b.String()), &top); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("null in\n%s", b.String())
	}
	check := func(where string, got map[string]any, want map[string]any) {
		for name, value := range want {
			if v, ok := got[name]; !ok || v != value {
				t.Errorf("%s%s: %v, want %v", where, name, v, value)
			}
		}
	}
	check("", top, map[string]any{
		"isolated_cpu": 3.0, "flips": 10_000.0, "kernel_crossing_ns": 40.0, "kernel_crossing_owed_ns": 80.0, "mode": "live",
		"violations": 0.0, "verdict": "ok", "sync_assurance": "measured only", "interrupted": false,
	})
	for name, calls := range map[string]float64{"noise": 100, "deferred": 150, "not_deferred": 10_900} {
		p, _ := top[name].(map[string]any)
		check(name+".", p, map[string]any{
			"call_ipis": calls, "gap_ns_max": 30_000.0, "gap_ns_p9999": 20.0, "stop_ns_max": 70_000.0, "timer_ticks": 250.0,
		})
		for _, more := range []string{"tlb_ipis", "duration_ms", "flips_done", "retargets", "unmaps", "stops_by_go", "gaps"} {
			if p[more] == nil {
				t.Errorf("%s has no %s", name, more)
			}
		}
	}
}

func TestNothingMeasured(t *testing.T) {
	r := newResult(100, 1, []int{0, 1})
	for _, p := range r.phases() {
		if p.CallIPIs != notMeasured || p.TLBIPIs != notMeasured || p.GapNSMax != notMeasured || p.Gaps == nil {
			t.Errorf("%s: %+v, want %d for what was not measured", p.name, p.Phase, notMeasured)
		}
	}
}

func TestFill(t *testing.T) {
	var h histogram
	for range 99_980 {
		h.add(50) // 20 ns
	}
	for range 19 {
		h.add(5000) // 2 us
	}
	h.add(250_000) // 100 us
	var p Phase
	p.fill(&h, 2.5)
	if p.GapNSMax != 100_000 || p.GapNSP9999 < 1900 || p.GapNSP9999 > 2200 || p.GapNSP9999Time != 100_000 {
		t.Errorf("longest %d ns, 99.99%% of gaps %d ns, of time %d ns; want 100000, about 2000, 100000", p.GapNSMax, p.GapNSP9999, p.GapNSP9999Time)
	}
	if p.Readings != 100_000 || p.GapsLong != 20 || p.LostNS < 130_000 || p.LostNS > 145_000 {
		t.Errorf("%d readings, %d long gaps, %d ns in them; want 100000, 20, about 138000", p.Readings, p.GapsLong, p.LostNS)
	}
	for i, want := range []uint64{99_980, 0, 0, 0, 0, 19, 0, 0, 0, 0, 0, 1} {
		if i >= len(p.Gaps) || p.Gaps[i].Count != want {
			t.Fatalf("buckets %v: want %d in number %d", p.Gaps, want, i)
		}
	}
	if p.Gaps[5].FromNS != 1024 || p.Gaps[11].FromNS != 1<<16 {
		t.Errorf("buckets %v: want the sixth from 1024 ns, the last from 65536", p.Gaps)
	}
}
