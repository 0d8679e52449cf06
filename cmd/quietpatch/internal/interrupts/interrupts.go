package interrupts

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The rows of /proc/interrupts on x86 that are read (arch/x86/kernel/irq.c,
// arch_show_interrupts).
const (
	Call       = "CAL" // function calls: what a sync sends
	TLB        = "TLB" // TLB shootdowns: what a change of mappings sends
	Reschedule = "RES" // another thread is to run
	Timer      = "LOC" // the CPU's own timer: ticks above all
)

var rows = []string{Call, TLB, Reschedule, Timer}

// A Reading is what the rows were at one moment.
type Reading struct {
	column map[int]int // CPU to its column: only online CPUs have one
	rows   map[string][]uint64
}

// Read reads /proc/interrupts. Where there is none the reading is empty, and all counts are missing.
func Read() Reading {
	f, err := os.Open("/proc/interrupts")
	if err != nil {
		return Reading{}
	}
	defer f.Close()
	r, err := parse(f)
	if err != nil {
		return Reading{}
	}
	return r
}

// parse reads the header and the rows that matter. A row that is missing, as on other
// architectures, is no error.
func parse(r io.Reader) (Reading, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // one line holds a column for each CPU
	if !lines.Scan() {
		return Reading{}, fmt.Errorf("/proc/interrupts: no header: %v", lines.Err())
	}
	in := Reading{column: make(map[int]int), rows: make(map[string][]uint64)}
	for i, name := range strings.Fields(lines.Text()) {
		cpu, err := strconv.Atoi(strings.TrimPrefix(name, "CPU"))
		if err != nil {
			return Reading{}, fmt.Errorf("/proc/interrupts: column %d: found %q, expected CPU and a number", i, name)
		}
		in.column[cpu] = i
	}
	for lines.Scan() {
		name, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if ok && slices.Contains(rows, name) {
			in.rows[name] = leadingNumbers(rest)
		}
	}
	return in, lines.Err()
}

// leadingNumbers returns the numbers before the description of a row.
func leadingNumbers(text string) []uint64 {
	var counts []uint64
	for field := range strings.FieldsSeq(text) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			break
		}
		counts = append(counts, n)
	}
	return counts
}

// count returns one number of the reading, if it is there.
func (in Reading) count(row string, cpu int) (uint64, bool) {
	i, ok := in.column[cpu]
	if !ok || i >= len(in.rows[row]) {
		return 0, false
	}
	return in.rows[row][i], true
}

// Since returns how many interrupts of one row came to the CPU between two readings. It
// subtracts in 32 bits, since the kernel's counters are unsigned int and wrap
// (arch/x86/include/asm/hardirq.h, irq_cpustat_t).
func (in Reading) Since(old Reading, row string, cpu int) (n uint64, missing bool) {
	a, ok1 := old.count(row, cpu)
	b, ok2 := in.count(row, cpu)
	if !ok1 || !ok2 {
		return 0, true
	}
	return uint64(uint32(b) - uint32(a)), false
}

// IPIs counts interrupts that other CPUs sent to a CPU.
type IPIs struct {
	Call, TLB     uint64
	NoCall, NoTLB bool // the machine does not count these
}

// IPIsSince returns what other CPUs sent to the CPU between two readings.
func (in Reading) IPIsSince(old Reading, cpu int) IPIs {
	var d IPIs
	d.Call, d.NoCall = in.Since(old, Call, cpu)
	d.TLB, d.NoTLB = in.Since(old, TLB, cpu)
	return d
}

// Plus adds the counts of two times. What is missing in one is missing in the sum.
func (d IPIs) Plus(e IPIs) IPIs {
	return IPIs{
		Call: d.Call + e.Call, NoCall: d.NoCall || e.NoCall,
		TLB: d.TLB + e.TLB, NoTLB: d.NoTLB || e.NoTLB,
	}
}
