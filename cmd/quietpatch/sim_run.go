package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/quietpatch/quietpatch/internal/sim"
)

// simOutput is where a mode of sim prints to.
type simOutput struct {
	ctx           context.Context
	out, progress io.Writer
	json          bool
}

// columnWidth fits two columns in a wide terminal and the long lines in one.
const columnWidth = 46

func (o simOutput) table(head string, rows func(w io.Writer)) error {
	t := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	rows(t)
	return t.Flush()
}

type worldRow struct {
	Name       string         `json:"name"`
	States     int            `json:"states"`
	Violations int            `json:"violations"`
	Violation  *sim.Violation `json:"violation,omitempty"`
}

// simWorlds explores the worlds whose name contains only, on all CPUs, and prints
// them in their order.
func simWorlds(o simOutput, only string) error {
	worlds := slices.DeleteFunc(sim.Worlds(), func(w sim.World) bool { return !strings.Contains(w.Name, only) })
	if len(worlds) == 0 {
		return fmt.Errorf("--only %q: no world has that in its name; the names are in the output without it", only)
	}
	rows := make([]worldRow, len(worlds))
	var mu sync.Mutex
	var failed error
	done := 0
	parallel(len(worlds), func(i int) bool {
		r, err := sim.Explore(worlds[i], sim.Mutant{})
		rows[i] = worldRow{Name: worlds[i].Name, States: r.States, Violation: r.Violation}
		if r.Violation != nil {
			rows[i].Violations = 1
		}
		mu.Lock()
		defer mu.Unlock()
		if done++; err != nil {
			failed = err
		}
		fmt.Fprintf(o.progress, "[%d/%d] %s: %d states\n", done, len(worlds), r.World, r.States)
		return err == nil
	})
	if failed != nil {
		return failed
	}
	return printWorlds(o, rows)
}

// parallel calls f(0) to f(n-1) on all CPUs, until one of them returns false.
func parallel(n int, f func(i int) bool) {
	var wg sync.WaitGroup
	work, stop := make(chan int), make(chan struct{})
	var once sync.Once
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				if !f(i) {
					once.Do(func() { close(stop) })
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case work <- i:
		case <-stop:
			break feed
		}
	}
	close(work)
	wg.Wait()
}

func printWorlds(o simOutput, rows []worldRow) error {
	violations, states := 0, 0
	for _, r := range rows {
		violations += r.Violations
		states += r.States
	}
	if o.json {
		if err := printJSON(o.out, map[string]any{"worlds": rows, "states": states, "violations": violations}); err != nil {
			return err
		}
	} else {
		err := o.table("world\tstates\tviolations", func(w io.Writer) {
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%d\t%d\n", r.Name, r.States, r.Violations)
			}
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Violation != nil {
				fmt.Fprintf(o.out, "\n%s: ", r.Name)
				printViolation(o.out, r.Violation)
			}
		}
		fmt.Fprintf(o.out, "\n%d states in %d worlds, %d violations\n", states, len(rows), violations)
	}
	if violations > 0 {
		return failedError{fmt.Errorf("%d worlds with a violation", violations)}
	}
	return nil
}

func printViolation(out io.Writer, v *sim.Violation) {
	fmt.Fprintf(out, "%s: %s\n%s", v.By, v.What, v.Trace.Columns(columnWidth))
}

type mutantRow struct {
	Name   string `json:"name"`
	Caught bool   `json:"caught"`
	By     string `json:"by"`
	What   string `json:"what"`
	Steps  int    `json:"steps"` // atoms from the start to the violation
	States int    `json:"states"`
}

func simMutants(o simOutput) error {
	var rows []mutantRow
	missed := 0
	for _, m := range sim.Mutants() {
		r, err := sim.Find(m.World, m, sim.NoEvent)
		if err != nil {
			return err
		}
		row := mutantRow{Name: m.Name, States: r.States}
		if v := r.Violation; v != nil {
			row.Caught, row.By, row.What, row.Steps = true, v.By, v.What, len(v.Trace)
		} else {
			missed++
		}
		rows = append(rows, row)
	}
	if o.json {
		if err := printJSON(o.out, map[string]any{"mutants": rows}); err != nil {
			return err
		}
	} else {
		err := o.table("mutant\tcaught by\tsteps\twhat it did", func(w io.Writer) {
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", r.Name, map[bool]string{true: r.By, false: "NOT CAUGHT"}[r.Caught], r.Steps, r.What)
			}
		})
		if err != nil {
			return err
		}
	}
	if missed > 0 {
		return failedError{fmt.Errorf("%d mutants were not caught", missed)}
	}
	return nil
}

// simMutant shows the shortest way in which a wrong protocol fails. That it does
// is a success of the mutant test and a failure of the protocol: exit code 1.
func simMutant(o simOutput, m sim.Mutant) error {
	r, err := sim.Find(m.World, m, sim.NoEvent)
	if err != nil {
		return err
	}
	if o.json {
		if err := printJSON(o.out, map[string]any{"mutant": m.Name, "states": r.States, "violation": r.Violation}); err != nil {
			return err
		}
	} else if r.Violation != nil {
		printViolation(o.out, r.Violation)
	}
	if r.Violation != nil {
		return failedError{fmt.Errorf("the wrong protocol %s violates %q, as it must", m.Name, r.Violation.By)}
	}
	return nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
