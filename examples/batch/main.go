// Batch flips several keys at the cost of one, and prints what that took.
//
//	go run ./examples/batch
package main

import (
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

var reads, writes, syncs statickey.Bool

var (
	_ = statickey.Register(&reads, "disk.trace-reads", "trace every read")
	_ = statickey.Register(&writes, "disk.trace-writes", "trace every write")
	_ = statickey.Register(&syncs, "disk.trace-syncs", "trace every sync")
)

// step makes one check of each key.
//
//go:noinline
func step() (traced []string) {
	if reads.Enabled() {
		traced = append(traced, "read")
	}
	if writes.Enabled() {
		traced = append(traced, "write")
	}
	if syncs.Enabled() {
		traced = append(traced, "sync")
	}
	return traced
}

func setAll(on bool) error {
	var b statickey.Batch
	b.Set(&reads, on)
	b.Set(&writes, on)
	b.Set(&syncs, on)
	return b.Apply()
}

func run() error {
	fmt.Println("off:", step())
	if err := setAll(true); err != nil { // finds and arms the checks
		return err
	}
	fmt.Println("on:", step())
	before := quietpatch.Status().Counters.Syncs
	if err := setAll(false); err != nil {
		return err
	}
	fmt.Println("off:", step())
	s := quietpatch.Status()
	fmt.Fprintf(os.Stderr, "mode %s, strategy %s: %d checks of 3 keys flipped by %d syncs\n",
		s.Mode, s.Strategy, s.Armed, s.Counters.Syncs-before)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
