package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parseFile(t *testing.T, name string) interrupts {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := parseInterrupts(f)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestParseInterrupts(t *testing.T) {
	for _, tc := range []struct {
		file string
		row  string
		cpu  int
		want uint64
		ok   bool
	}{
		{"interrupts-2cpu.txt", rowCall, 0, 288085, true},
		{"interrupts-2cpu.txt", rowCall, 1, 1339884, true},
		{"interrupts-2cpu.txt", rowTLB, 1, 113761, true},
		{"interrupts-2cpu.txt", rowTLB, 2, 0, false},
		{"interrupts-64cpu.txt", rowCall, 63, 1063, true},
		{"interrupts-64cpu.txt", rowTLB, 17, 2017, true},
		{"interrupts-64cpu.txt", rowTLB, 64, 0, false},
		// CPUs 2, 3, 5 and 6 are offline: a column is not a CPU number.
		{"interrupts-gaps.txt", rowCall, 7, 1007, true},
		{"interrupts-gaps.txt", rowTLB, 4, 2004, true},
		{"interrupts-gaps.txt", rowCall, 2, 0, false},
		{"interrupts-arm64.txt", rowCall, 0, 0, false},
		{"interrupts-arm64.txt", rowTLB, 1, 0, false},
	} {
		got, ok := parseFile(t, tc.file).count(tc.row, tc.cpu)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: %s of CPU %d is %d, %v; want %d, %v", tc.file, tc.row, tc.cpu, got, ok, tc.want, tc.ok)
		}
	}
}

func TestParseInterruptsErrors(t *testing.T) {
	for name, text := range map[string]string{
		"empty":     "",
		"no header": "CAL: 1 2 Function call interrupts\n",
	} {
		if _, err := parseInterrupts(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "/proc/interrupts") {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}

// A row with fewer numbers than CPUs must not be read beyond its end.
func TestParseInterruptsShortRow(t *testing.T) {
	in, err := parseInterrupts(strings.NewReader("  CPU0 CPU1\nCAL: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := in.count(rowCall, 0); n != 5 || !ok {
		t.Errorf("CPU 0: %d, %v; want 5, true", n, ok)
	}
	if _, ok := in.count(rowCall, 1); ok {
		t.Error("CPU 1 has a count, but the row has one number")
	}
}

func counts(call, tlb uint64) interrupts {
	return interrupts{
		column: map[int]int{3: 0},
		rows:   map[string][]uint64{rowCall: {call}, rowTLB: {tlb}},
	}
}

func TestInterruptsSince(t *testing.T) {
	if d := counts(110, 27).since(counts(100, 20), 3); d != (ipis{call: 10, tlb: 7}) {
		t.Errorf("got %+v, want 10 calls and 7 TLB", d)
	}
	// The kernel's counters are 32 bits wide.
	if d := counts(4, 20).since(counts(1<<32-6, 20), 3); d != (ipis{call: 10}) {
		t.Errorf("after a wrap: got %+v, want 10 calls", d)
	}
	if d := counts(110, 27).since(interrupts{}, 3); d != (ipis{noCall: true, noTLB: true}) {
		t.Errorf("without a first reading: got %+v, want nothing counted", d)
	}
}
