package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/quietpatch/quietpatch/internal/sim"
	"github.com/spf13/cobra"
)

const simLong = `Runs the protocol by which text is changed, the very code that production runs,
in simulated worlds, and tries every interleaving.

--exhaustive explores small worlds to the end: 2 and 3 CPUs, 1 and 2 sites, 1 and
2 batches, every strategy, with and without a write or sync that fails, threads
that are taken off their CPU anywhere. A violation prints the way there, one
column per CPU. It takes about half a minute and 500 MB of memory.

--mutants runs the protocol with one thing wrong at a time; each must be caught.

Exit codes: 0 no violation, every mutant caught; 1 otherwise; 2 wrong usage.`

func newSimCommand() *cobra.Command {
	var exhaustive, mutants, asJSON bool
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Try every interleaving of the patch protocol in small worlds",
		Long:  simLong,
		Example: `  quietpatch sim --exhaustive
  quietpatch sim --mutants --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			switch {
			case exhaustive == mutants:
				return errors.New("give one of --exhaustive and --mutants")
			case exhaustive:
				return simWorlds(out, cmd.ErrOrStderr(), asJSON)
			}
			return simMutants(out, asJSON)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&exhaustive, "exhaustive", false, "explore the small worlds to the end")
	f.BoolVar(&mutants, "mutants", false, "run wrong protocols, which must be caught")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

type worldRow struct {
	Name       string         `json:"name"`
	States     int            `json:"states"`
	Violations int            `json:"violations"`
	Violation  *sim.Violation `json:"violation,omitempty"`
}

// simWorlds explores the worlds on all CPUs and prints them in their order.
func simWorlds(out, progress io.Writer, asJSON bool) error {
	worlds := sim.Worlds()
	rows := make([]worldRow, len(worlds))
	var wg sync.WaitGroup
	var mu sync.Mutex
	work := make(chan int)
	done := 0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				r := sim.Explore(worlds[i], sim.Mutant{})
				rows[i] = worldRow{Name: r.World, States: r.States, Violation: r.Violation}
				if r.Violation != nil {
					rows[i].Violations = 1
				}
				mu.Lock()
				done++
				fmt.Fprintf(progress, "[%d/%d] %s: %d states\n", done, len(worlds), r.World, r.States)
				mu.Unlock()
			}
		})
	}
	for i := range worlds {
		work <- i
	}
	close(work)
	wg.Wait()
	return printWorlds(out, rows, asJSON)
}

func printWorlds(out io.Writer, rows []worldRow, asJSON bool) error {
	violations, states := 0, 0
	for _, r := range rows {
		violations += r.Violations
		states += r.States
	}
	if asJSON {
		if err := printJSON(out, map[string]any{"worlds": rows, "states": states, "violations": violations}); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "world\tstates\tviolations")
		for _, r := range rows {
			fmt.Fprintf(t, "%s\t%d\t%d\n", r.Name, r.States, r.Violations)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, r := range rows {
			if r.Violation != nil {
				fmt.Fprintf(out, "\n%s: %s: %s\n%s\n", r.Name, r.Violation.By, r.Violation.What, strings.Join(r.Violation.Trace, "\n"))
			}
		}
		fmt.Fprintf(out, "\n%d states in %d worlds, %d violations\n", states, len(rows), violations)
	}
	if violations > 0 {
		return failedError{fmt.Errorf("%d worlds with a violation", violations)}
	}
	return nil
}

type mutantRow struct {
	Name   string `json:"name"`
	Caught bool   `json:"caught"`
	By     string `json:"by"`
	What   string `json:"what"`
	Steps  int    `json:"steps"` // atoms from the start to the violation
	States int    `json:"states"`
}

func simMutants(out io.Writer, asJSON bool) error {
	var rows []mutantRow
	missed := 0
	for _, m := range sim.Mutants() {
		r := sim.Explore(m.World, m)
		row := mutantRow{Name: m.Name, States: r.States}
		if v := r.Violation; v != nil {
			row.Caught, row.By, row.What, row.Steps = true, v.By, v.What, len(v.Trace)-1
		} else {
			missed++
		}
		rows = append(rows, row)
	}
	if asJSON {
		if err := printJSON(out, map[string]any{"mutants": rows}); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "mutant\tcaught by\tsteps\twhat it did")
		for _, r := range rows {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", r.Name, map[bool]string{true: r.By, false: "NOT CAUGHT"}[r.Caught], r.Steps, r.What)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if missed > 0 {
		return failedError{fmt.Errorf("%d mutants were not caught", missed)}
	}
	return nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
