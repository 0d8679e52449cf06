package interrupts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parseFile(t *testing.T, name string) Reading {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		file string
		row  string
		cpu  int
		want uint64
		ok   bool
	}{
		{"interrupts-2cpu.txt", Call, 0, 288085, true},
		{"interrupts-2cpu.txt", Call, 1, 1339884, true},
		{"interrupts-2cpu.txt", TLB, 1, 113761, true},
		{"interrupts-2cpu.txt", TLB, 2, 0, false},
		{"interrupts-64cpu.txt", Call, 63, 1063, true},
		{"interrupts-64cpu.txt", TLB, 17, 2017, true},
		{"interrupts-64cpu.txt", TLB, 64, 0, false},
		// CPUs 2, 3, 5 and 6 are offline: a column is not a CPU number.
		{"interrupts-gaps.txt", Call, 7, 1007, true},
		{"interrupts-gaps.txt", TLB, 4, 2004, true},
		{"interrupts-gaps.txt", Call, 2, 0, false},
		{"interrupts-2cpu.txt", Timer, 1, 303870, true},
		{"interrupts-gaps.txt", Reschedule, 4, 74, true},
		{"interrupts-gaps.txt", Timer, 4, 900004, true},
		{"interrupts-arm64.txt", Call, 0, 0, false},
		{"interrupts-arm64.txt", TLB, 1, 0, false},
	} {
		got, ok := parseFile(t, tc.file).count(tc.row, tc.cpu)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: %s of CPU %d is %d, %v; want %d, %v", tc.file, tc.row, tc.cpu, got, ok, tc.want, tc.ok)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"no header": "CAL: 1 2 Function call interrupts\n",
	} {
		if _, err := parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "/proc/interrupts") {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}

// A row with fewer numbers than CPUs must not be read beyond its end.
func TestParseShortRow(t *testing.T) {
	in, err := parse(strings.NewReader("  CPU0 CPU1\nCAL: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := in.count(Call, 0); n != 5 || !ok {
		t.Errorf("CPU 0: %d, %v; want 5, true", n, ok)
	}
	if _, ok := in.count(Call, 1); ok {
		t.Error("CPU 1 has a count, but the row has one number")
	}
}

func counts(call, tlb uint64) Reading {
	return Reading{
		column: map[int]int{3: 0},
		rows:   map[string][]uint64{Call: {call}, TLB: {tlb}},
	}
}

func TestSince(t *testing.T) {
	if d := counts(110, 27).IPIsSince(counts(100, 20), 3); d != (IPIs{Call: 10, TLB: 7}) {
		t.Errorf("got %+v, want 10 calls and 7 TLB", d)
	}
	// The kernel's counters are 32 bits wide.
	if d := counts(4, 20).IPIsSince(counts(1<<32-6, 20), 3); d != (IPIs{Call: 10}) {
		t.Errorf("after a wrap: got %+v, want 10 calls", d)
	}
	if d := counts(110, 27).IPIsSince(Reading{}, 3); d != (IPIs{NoCall: true, NoTLB: true}) {
		t.Errorf("without a first reading: got %+v, want nothing counted", d)
	}
}

func TestSinceOneRow(t *testing.T) {
	if n, missing := counts(4, 20).Since(counts(1<<32-6, 20), Call, 3); n != 10 || missing {
		t.Errorf("after a wrap: %d, missing %v; want 10, false", n, missing)
	}
	if _, missing := counts(4, 20).Since(counts(1, 20), Timer, 3); !missing {
		t.Error("a row that is not there is not missing")
	}
}
