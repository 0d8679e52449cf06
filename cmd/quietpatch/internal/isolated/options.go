package isolated

import (
	"fmt"
	"slices"
)

// DefaultFlips is how many flips are made with the thread isolated, and as many without.
const DefaultFlips = 10_000

// The least and the most that make sense: fewer flips drown in the noise.
const (
	minFlips = 100
	maxFlips = 1_000_000
)

// ballast is a part of the heap that keeps it at its size: see steadyHeap.
const ballast = 256 << 20

// Options say what Run measures.
type Options struct {
	CPU      int      // the CPU of the isolated thread; negative: the last one
	Flips    int      // in each of the two phases with work
	Strategy string   // empty: the library's choice
	Backend  string   // empty: the library's choice
	RealTime bool     // give the thread priority over other programs
	Process  []string // arguments with which this program runs ProcessMain and ends
}

// Validate finds what is wrong with the options, whatever the machine.
func (o Options) Validate() error {
	if o.Flips < minFlips || o.Flips > maxFlips {
		return fmt.Errorf("%d flips: expected a number from %d to %d", o.Flips, minFlips, maxFlips)
	}
	return nil
}

// chooseCPU picks the CPU of the isolated thread from those that the process may use: the
// last, unless one is given. Something has to be left for the others.
func chooseCPU(allowed []int, asked int) (int, error) {
	if len(allowed) < 2 {
		return 0, fmt.Errorf("an isolated thread needs a CPU for itself, and the rest of the process another one: this process may run on %v only", allowed)
	}
	if asked < 0 {
		return allowed[len(allowed)-1], nil
	}
	if !slices.Contains(allowed, asked) {
		return 0, fmt.Errorf("CPU %d: this process may run on %v", asked, allowed)
	}
	return asked, nil
}
