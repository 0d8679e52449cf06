package demo

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a result with round numbers. They are not measurements.
func sample() *Result {
	return &Result{
		Mode: "live", CPUs: 2, BusyCPU: 1, Key: "demo.stage-stats", Checks: 56, Clients: 8, GCPercent: 400,
		SyncNs: 10000, Syncs: 1500, NoiseCallIPIs: 500, NoiseTLBIPIs: 250.4,
		Requests: 200000, CheckedRequests: 150000, Notes: []string{"a note"},
		Rows: []Row{
			{
				Strategy: "store", Backend: "procmem", Sites: 56, Flips: 3000, FlipNsMedian: 61000, FlipNsP99: 90500,
				RatioToSync: 6.1, SyncsPerFlip: 1, CallIPIsPerFlip: 1.02, TLBIPIsPerFlip: 0, Requests: 65000,
			},
			{
				Strategy: "int3", Backend: "alias", Sites: 56, Flips: 2800, FlipNsMedian: 27700, FlipNsP99: 61000,
				RatioToSync: 2.77, SyncsPerFlip: 3, CallIPIsPerFlip: 2.9, TLBIPIsPerFlip: notMeasured,
				TrapHits: 123456, TrapLate: 7, Requests: 65000, FailedRequests: 3,
			},
			{
				Strategy: "one-at-a-time", Backend: "alias", Sites: 56, Flips: 800, FlipNsMedian: 1500000, FlipNsP99: 4000000,
				RatioToSync: 150, SyncsPerFlip: 168, CallIPIsPerFlip: 166.2, Requests: 51000,
			},
		},
	}
}

func memorySample() *Result {
	return &Result{
		Mode: "memory", Reason: "goos is plan9", CPUs: 1, Key: "demo.stage-stats", Checks: 56, Clients: 4,
		SyncNs: notMeasured, NoiseCallIPIs: notMeasured, NoiseTLBIPIs: notMeasured, Requests: 90000, CheckedRequests: 80000,
		Interrupted: true,
		Rows: []Row{{
			Strategy: "memory", Backend: "none", Flips: 4000, FlipNsMedian: 100, FlipNsP99: 300, RatioToSync: notMeasured,
			CallIPIsPerFlip: notMeasured, TLBIPIsPerFlip: notMeasured, Requests: 60000,
		}},
	}
}

func TestWriteTable(t *testing.T) {
	for name, r := range map[string]*Result{"table-live.golden": sample(), "table-memory.golden": memorySample()} {
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
	for _, tc := range []struct {
		ratio float64
		want  int
	}{
		{notMeasured, 0}, {0.3, 1}, {1, 1}, {10, 1 + barPerDecade}, {1000, 1 + 3*barPerDecade}, {1e9, 1 + 3*barPerDecade},
	} {
		if got := bar(tc.ratio); len(got) != tc.want {
			t.Errorf("bar of %v: %q, want %d characters", tc.ratio, got, tc.want)
		}
	}
	// The scale marks the character where a bar of that ratio ends.
	for mark, ratio := range map[string]float64{"1 ": 1, "10 ": 10, "100 ": 100, "1000": 1000} {
		if at := strings.Index(barScale(), mark); at != len(bar(ratio))-1 {
			t.Errorf("mark %q stands at %d of the scale, a bar of %v ends at %d", mark, at, ratio, len(bar(ratio))-1)
		}
	}
}

// Scripts read these fields: the names are a promise.
func TestJSONFields(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(b.String()))
	var top map[string]any
	if err := d.Decode(&top); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Error("more than one JSON object")
	}
	for name, want := range map[string]any{
		"mode": "live", "reason": "", "cpus": 2.0, "busy_cpu": 1.0, "flip_cpu": 0.0, "key": "demo.stage-stats",
		"checks_per_request": 56.0, "sync_ns": 10000.0, "requests": 200000.0, "checked_requests": 150000.0,
		"failed_requests": 0.0, "errors": 0.0, "interrupted": false,
		"noise_call_ipis_per_s": 500.0, "noise_tlb_ipis_per_s": 250.4,
	} {
		if got, ok := top[name]; !ok || got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	rows, _ := top["rows"].([]any)
	if len(rows) != 3 {
		t.Fatalf("rows: %v, want 3", top["rows"])
	}
	row, _ := rows[1].(map[string]any)
	for name, want := range map[string]any{
		"strategy": "int3", "backend": "alias", "sites": 56.0, "flips": 2800.0,
		"flip_ns_median": 27700.0, "flip_ns_p99": 61000.0, "ratio_to_sync": 2.77, "syncs_per_flip": 3.0,
		"call_ipis_per_flip": 2.9, "tlb_ipis_per_flip": -1.0, "call_ipis_per_flip_raw": 0.0, "tlb_ipis_per_flip_raw": 0.0,
		"trap_hits": 123456.0, "trap_late": 7.0, "requests": 65000.0, "failed_requests": 3.0, "errors": 0.0,
	} {
		if got, ok := row[name]; !ok || got != want {
			t.Errorf("rows[1].%s: %v, want %v", name, got, want)
		}
	}
}
