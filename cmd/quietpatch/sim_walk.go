package main

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/internal/sim"
)

// parseSeed takes a number, decimal or with 0x, or the hash of a commit, of
// which it takes the first 16 digits.
func parseSeed(s string) (uint64, error) {
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return n, nil
	}
	if len(s) >= 7 {
		if n, err := strconv.ParseUint(s[:min(len(s), 16)], 16, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("--seed %q: neither a number nor the hash of a commit", s)
}

type walkRow struct {
	sim.WalkResult
	Seed   string `json:"seed"`
	World  string `json:"world"`
	Repeat string `json:"repeat"` // the command
}

// walkSum is what a series of walks has done so far.
type walkSum struct {
	Seed       string    `json:"seed"`
	Walks      int       `json:"walks"`
	Atoms      int       `json:"atoms"`
	Batches    int       `json:"batches"`
	Traps      int       `json:"traps"`
	Late       int       `json:"late_traps"`
	Violations int       `json:"violations"`
	Failed     []walkRow `json:"failed"`
}

// failedWalksMax ends a series: the first failures tell the story.
const failedWalksMax = 3

// simWalks makes walks on all CPUs.
func simWalks(o simOutput, series uint64, n int, m sim.Mutant) error {
	sum := walkSum{Seed: fmt.Sprintf("%#x", series), Failed: []walkRow{}}
	var mu sync.Mutex
	last := time.Now()
	parallel(n, func(i int) bool {
		r := sim.Walk(sim.Seed(series, i), m)
		mu.Lock()
		defer mu.Unlock()
		sum.add(r, m)
		if time.Since(last) > 2*time.Second {
			last = time.Now()
			fmt.Fprintf(o.progress, "[%d/%d] %d atoms, %d traps, %d violations\n", sum.Walks, n, sum.Atoms, sum.Traps, sum.Violations)
		}
		return sum.Violations < failedWalksMax
	})
	if o.json {
		if err := printJSON(o.out, sum); err != nil {
			return err
		}
	} else {
		sum.print(o.out)
	}
	if sum.Violations > 0 {
		return failedError{fmt.Errorf("%d walks with a violation", sum.Violations)}
	}
	return nil
}

func (sum *walkSum) add(r sim.WalkResult, m sim.Mutant) {
	sum.Walks++
	sum.Atoms, sum.Batches = sum.Atoms+r.Atoms, sum.Batches+r.Batches
	sum.Traps, sum.Late = sum.Traps+r.Traps, sum.Late+r.Late
	if r.Violation == nil {
		return
	}
	sum.Violations++
	row := walkRow{WalkResult: r, Seed: fmt.Sprintf("%#x", r.Seed), World: r.World.String()}
	row.Repeat = "quietpatch sim --seed " + row.Seed
	if m.Name != "" {
		row.Repeat += " --mutant " + m.Name
	}
	sum.Failed = append(sum.Failed, row)
}

func (sum *walkSum) print(out io.Writer) {
	for _, r := range sum.Failed {
		fmt.Fprintf(out, "%s\n  %s\n", r.Repeat, r.World)
		fmt.Fprintf(out, "  %d atoms, of which %d are needed:\n", r.Atoms, len(r.Violation.Trace))
		printViolation(out, r.Violation)
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "seed %s: %d walks, %d atoms, %d batches, %d traps, %d of them late, %d violations\n",
		sum.Seed, sum.Walks, sum.Atoms, sum.Batches, sum.Traps, sum.Late, sum.Violations)
}

type scenarioResult struct {
	sim.Scenario
	Wrong  bool      `json:"wrong_protocol"`
	By     string    `json:"by,omitempty"` // the checker that objects
	Trace  sim.Trace `json:"trace"`
	States int       `json:"states"`
}

func simScenario(o simOutput, name string) error {
	s, err := sim.FindScenario(name)
	if err != nil {
		return err
	}
	r, err := s.Run()
	if err != nil {
		return failedError{err}
	}
	if o.json {
		return printJSON(o.out, scenarioResult{s, s.Wrong(), r.Violation.By, r.Violation.Trace, r.States})
	}
	fmt.Fprintf(o.out, "%s. %s\n\n%s\n", s.Letter, s.Title, r.Violation.Trace.Columns(columnWidth))
	if s.Wrong() {
		fmt.Fprintf(o.out, "A wrong protocol (%s): the checker %q objects. The shortest way; %d states were looked at.\n",
			s.Mutant.Name, r.Violation.By, r.States)
	} else {
		fmt.Fprintf(o.out, "The right protocol. The shortest way; %d states were looked at.\n", r.States)
	}
	return nil
}

func simScenarios(o simOutput) error {
	all := sim.Scenarios()
	if o.json {
		return printJSON(o.out, map[string]any{"scenarios": all})
	}
	return o.table("letter\tname\twhat", func(w io.Writer) {
		for _, s := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.Letter, s.Name, s.Title)
		}
	})
}
