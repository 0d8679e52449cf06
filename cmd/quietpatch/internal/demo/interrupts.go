package demo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The rows of /proc/interrupts on x86 that count interrupts from one CPU to
// another (arch/x86/kernel/irq.c, arch_show_interrupts).
const (
	rowCall = "CAL" // function calls: what a sync sends
	rowTLB  = "TLB" // TLB shootdowns: what a change of mappings sends
)

// interrupts is a reading of /proc/interrupts.
type interrupts struct {
	column map[int]int // CPU to its column: only online CPUs have one
	rows   map[string][]uint64
}

func readInterrupts() (interrupts, error) {
	f, err := os.Open("/proc/interrupts")
	if err != nil {
		return interrupts{}, err
	}
	defer f.Close()
	return parseInterrupts(f)
}

// parseInterrupts reads the header and the rows that the demo counts. A row
// that is missing, as on other architectures, is no error.
func parseInterrupts(r io.Reader) (interrupts, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // one line holds a column for each CPU
	if !lines.Scan() {
		return interrupts{}, fmt.Errorf("/proc/interrupts: no header: %v", lines.Err())
	}
	in := interrupts{column: make(map[int]int), rows: make(map[string][]uint64)}
	for i, name := range strings.Fields(lines.Text()) {
		cpu, err := strconv.Atoi(strings.TrimPrefix(name, "CPU"))
		if err != nil {
			return interrupts{}, fmt.Errorf("/proc/interrupts: column %d: found %q, expected CPU and a number", i, name)
		}
		in.column[cpu] = i
	}
	for lines.Scan() {
		name, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if ok && (name == rowCall || name == rowTLB) {
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
func (in interrupts) count(row string, cpu int) (uint64, bool) {
	i, ok := in.column[cpu]
	if !ok || i >= len(in.rows[row]) {
		return 0, false
	}
	return in.rows[row][i], true
}

// ipis counts interrupts that other CPUs sent to the busy CPU.
type ipis struct {
	call, tlb     uint64
	noCall, noTLB bool // the machine does not count these
}

// since returns what came to the CPU between two readings.
func (in interrupts) since(old interrupts, cpu int) ipis {
	var d ipis
	d.call, d.noCall = delta(old, in, rowCall, cpu)
	d.tlb, d.noTLB = delta(old, in, rowTLB, cpu)
	return d
}

// delta subtracts in 32 bits, since the kernel's counters are unsigned int and
// wrap (arch/x86/include/asm/hardirq.h, irq_cpustat_t).
func delta(old, now interrupts, row string, cpu int) (n uint64, missing bool) {
	a, ok1 := old.count(row, cpu)
	b, ok2 := now.count(row, cpu)
	if !ok1 || !ok2 {
		return 0, true
	}
	return uint64(uint32(b) - uint32(a)), false
}

func (d ipis) plus(e ipis) ipis {
	return ipis{
		call: d.call + e.call, noCall: d.noCall || e.noCall,
		tlb: d.tlb + e.tlb, noTLB: d.noTLB || e.noTLB,
	}
}
