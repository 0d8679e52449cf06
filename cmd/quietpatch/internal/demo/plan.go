package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultDuration is the length of a row. Six rows and the noise then take
// less than 20 s together.
const DefaultDuration = 2 * time.Second

// minDuration is the shortest row that still holds a few flips by the slowest
// strategy.
const minDuration = 50 * time.Millisecond

const (
	backendNone    = "none"
	strategyMemory = "memory" // what a row is called when keys are read from memory
)

// Strategies lists the strategies that the demo compares.
func Strategies() []string { return []string{"store", "int3", "one-at-a-time"} }

// Backends lists the backends that a row can be asked for. procmem comes
// before alias, because a process cannot go back from alias to procmem.
func Backends() []string { return []string{"procmem", "alias", backendNone} }

// Options say what Run measures.
type Options struct {
	RowDuration time.Duration // length of one row
	BusyCPU     int           // the CPU whose interrupts are counted; negative: the last one
	Strategies  []string      // empty: all
	Backends    []string      // empty: all that work on this machine
}

// Validate finds what is wrong with the options, whatever the machine.
func (o Options) Validate() error {
	if o.RowDuration < minDuration {
		return fmt.Errorf("duration %v: the shortest row is %v", o.RowDuration, minDuration)
	}
	if err := known("strategy", o.Strategies, Strategies()); err != nil {
		return err
	}
	return known("backend", o.Backends, Backends())
}

func known(what string, asked, all []string) error {
	for _, name := range asked {
		if !slices.Contains(all, name) {
			return fmt.Errorf("unknown %s %q: choose from %s", what, name, strings.Join(all, ", "))
		}
	}
	return nil
}

// A spec names one row.
type spec struct {
	strategy, backend string
}

func (s spec) String() string {
	if s.backend == backendNone {
		return "reads from memory"
	}
	return s.strategy + " on " + s.backend
}

// planRows lists the rows to measure, where only the backends in works can be
// used. With none there is one row, in which keys are read from memory.
func planRows(o Options, works []string) ([]spec, error) {
	memory := []spec{{strategy: strategyMemory, backend: backendNone}}
	if len(works) == 0 {
		return memory, nil
	}
	var rows []spec
	for _, backend := range Backends() {
		asked := slices.Contains(o.Backends, backend)
		switch {
		case backend == backendNone && asked:
			rows = append(rows, memory...)
		case backend == backendNone:
		case slices.Contains(works, backend) && (asked || len(o.Backends) == 0):
			rows = append(rows, rowsOf(o, backend)...)
		case asked:
			return nil, fmt.Errorf("backend %s does not work on this machine: choose from %s", backend, strings.Join(works, ", "))
		}
	}
	return rows, nil
}

func rowsOf(o Options, backend string) []spec {
	var rows []spec
	for _, strategy := range Strategies() {
		if len(o.Strategies) == 0 || slices.Contains(o.Strategies, strategy) {
			rows = append(rows, spec{strategy: strategy, backend: backend})
		}
	}
	return rows
}

// chooseCPUs picks the busy CPU and the CPU of the flipper from those that
// the process may use: the last and the first, unless busy is given. With one
// CPU both are the same.
func chooseCPUs(allowed []int, busy int) (busyCPU, flipCPU int, err error) {
	if len(allowed) == 0 {
		return 0, 0, fmt.Errorf("no CPU to run on")
	}
	busyCPU, flipCPU = allowed[len(allowed)-1], allowed[0]
	if busy < 0 {
		return busyCPU, flipCPU, nil
	}
	if !slices.Contains(allowed, busy) {
		return 0, 0, fmt.Errorf("CPU %d: this process may run on %v", busy, allowed)
	}
	if busy == flipCPU {
		flipCPU = busyCPU // the last one, which is not watched now
	}
	return busy, flipCPU, nil
}
