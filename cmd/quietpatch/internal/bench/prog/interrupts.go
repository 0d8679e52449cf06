package prog

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// callIPIs returns how many function-call interrupts, which is what a sync
// sends, the CPU has had: row CAL of /proc/interrupts (arch/x86/kernel/irq.c,
// arch_show_interrupts). It wraps at 32 bits.
func callIPIs(cpu int) (uint32, error) {
	text, err := os.ReadFile("/proc/interrupts")
	if err != nil {
		return 0, err
	}
	return parseCallIPIs(string(text), cpu)
}

// parseCallIPIs finds the column of the CPU: only online CPUs have one.
func parseCallIPIs(text string, cpu int) (uint32, error) {
	header, rest, _ := strings.Cut(text, "\n")
	column := -1
	for i, name := range strings.Fields(header) {
		if name == "CPU"+strconv.Itoa(cpu) {
			column = i
		}
	}
	if column < 0 {
		return 0, fmt.Errorf("/proc/interrupts: expected a column CPU%d, found %q", cpu, header)
	}
	for line := range strings.Lines(rest) {
		f := strings.Fields(line)
		if len(f) > column+1 && f[0] == "CAL:" {
			n, err := strconv.ParseUint(f[column+1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/interrupts: row CAL: %w", err)
			}
			return uint32(n), nil
		}
	}
	return 0, fmt.Errorf("/proc/interrupts: expected a row CAL, found none")
}
