package sim

import (
	"fmt"
	"strings"
)

// Line is one atom of a trace.
type Line struct {
	CPU  int    `json:"cpu"` // 0 is the patcher's
	What string `json:"what"`
}

// Trace is a way through a world.
type Trace []Line

// Replay tells what the atoms do, from the start of the world.
func Replay(w World, mu Mutant, atoms []atom) Trace {
	if x := small(w, mu); x != nil {
		return x.replay(atoms)
	}
	m := model{world: w, mutant: mu, watch: watch{listen: true}}
	s := w.start()
	var t Trace
	for _, a := range atoms {
		if a.op == opQuiet {
			s.quiet = true
			t = append(t, Line{0, "from here on nothing new begins"})
			continue
		}
		c := column(s, a)
		m.apply(s, a)
		if m.said != "" {
			t = append(t, Line{c, m.said})
		}
		if m.found != nil {
			t = append(t, Line{c, "=> " + m.found.What})
		}
	}
	return t
}

// columnsMax is how many columns a trace is printed with.
const columnsMax = 5

// Columns draws the trace with one column per CPU that takes part. Of a wide
// trace only the last CPUs to act get columns; how many lines that leaves out is
// said at the end.
func (t Trace) Columns(width int) string {
	cpus := t.lastCPUs()
	at := map[int]int{}
	var b strings.Builder
	for i, c := range cpus {
		at[c] = i
		fmt.Fprintf(&b, "%-*s", width, fmt.Sprintf("CPU%d", c))
	}
	out := strings.TrimRight(b.String(), " ") + "\n"
	left := 0
	for _, l := range t {
		i, ok := at[l.CPU]
		if !ok {
			left++
			continue
		}
		out += strings.Repeat(" ", i*width) + l.What + "\n"
	}
	if left > 0 {
		out += fmt.Sprintf("(%d lines of other CPUs are left out)\n", left)
	}
	return out
}

// lastCPUs returns the patcher's and the CPUs that act last, in ascending order.
func (t Trace) lastCPUs() []int {
	seen := map[int]bool{0: true}
	for i := len(t) - 1; i >= 0 && len(seen) < columnsMax; i-- {
		seen[t[i].CPU] = true
	}
	var cpus []int
	for c := range 64 {
		if seen[c] {
			cpus = append(cpus, c)
		}
	}
	return cpus
}
