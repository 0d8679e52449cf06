package prog

import (
	"math"
	"strings"
	"testing"
	"unsafe"
)

func TestParseCallIPIs(t *testing.T) {
	const text = "            CPU0       CPU2       \n  0:   9  9  IR-IO-APIC 2-edge timer\n" +
		"RES:  1  2   Rescheduling interrupts\nCAL:  4294967295  7   Function call interrupts\nTLB:  3 4 TLB shootdowns\n"
	for cpu, want := range map[int]uint32{0: math.MaxUint32, 2: 7} {
		if n, err := parseCallIPIs(text, cpu); err != nil || n != want {
			t.Errorf("CPU %d: %d, %v; want %d", cpu, n, err, want)
		}
	}
	if _, err := parseCallIPIs(text, 1); err == nil || !strings.Contains(err.Error(), "CPU1") {
		t.Errorf("a CPU that is not there: %v", err)
	}
	if _, err := parseCallIPIs("  CPU0\nTLB: 1\n", 0); err == nil {
		t.Error("no row CAL: no error")
	}
}

func TestSamples(t *testing.T) {
	s := samples{9, 1, 3, 5, 7, 1000, 2, 4}
	if got := s.median(); got != 4 {
		t.Errorf("median %v, want 4", got)
	}
	if got := s.at(90); got != 1000 {
		t.Errorf("p90 %v, want 1000", got)
	}
	if got := s.middle(); got != (3+4+5+7)/4.0 {
		t.Errorf("middle %v, want 4.75", got)
	}
	if got := (samples{}).median(); got != NotMeasured {
		t.Errorf("median of nothing: %v", got)
	}
	if got := ratio(NotMeasured, 5); got != NotMeasured {
		t.Errorf("ratio of what was not measured: %v", got)
	}
}

// TestNeighbour: the other CPU must write to the same cache line, and to nothing
// that the switch uses.
func TestNeighbour(t *testing.T) {
	var buf [3 * lineSize]byte
	for at := range lineSize {
		p := unsafe.Pointer(&buf[lineSize+at])
		n := uintptr(unsafe.Pointer(neighbour(p)))
		if n/lineSize != uintptr(p)/lineSize || n%8 != 0 {
			t.Fatalf("neighbour of %p is %#x", p, n)
		}
		if d := int(n) - int(uintptr(p)); d > -8 && d < 16 {
			t.Fatalf("neighbour of %p is %#x: it overlaps the switch", p, n)
		}
	}
}
