package main

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/sim"
	"github.com/spf13/cobra"
)

const simLong = `Runs the protocol by which text is changed, the very code that production runs,
in simulated worlds.

--exhaustive tries every interleaving of small worlds: 2 and 3 CPUs, 1 and 2
sites, 1 and 2 batches, every strategy; a write or sync that fails, threads that
are taken off their CPU anywhere or move, signals, interrupts, foreign traps,
syncs by CPU, isolated threads with deferred syncs, stubs that are freed; deferred
unmaps and grace periods in worlds of their own. A violation prints the way
there, one column per CPU. It takes about half a minute of two CPUs and 300 MB
of memory.

--seed goes through larger worlds at random, up to 16 CPUs and 64 sites: --walks
of them, each with its own seed. First anything may happen; then, when the
batches are over, everybody must finish. A violation is shortened and printed
with the command that repeats it. The seed may be a commit's hash.

--mutants runs wrong protocols, each with one thing changed; every one must be
caught. --mutant NAME runs that one in place of the right protocol: with --seed
in its walks, alone in the small world where it is caught first.

--scenario shows one of the situations of docs/PROTOCOL.md, by letter or name.
--scenarios lists them.

--scale counts what batches cost on machines of up to 4096 CPUs and programs of
up to a million sites: see its flags below.

Exit codes: 0 no violation, every mutant caught; 1 otherwise; 2 wrong usage.`

const simExample = `  quietpatch sim --exhaustive
  quietpatch sim --seed 0x2a --walks 10000
  quietpatch sim --scenario late-trap
  quietpatch sim --mutants --json
  quietpatch sim --scale --plot scale.svg`

// simFlags is what the command was asked for.
type simFlags struct {
	exhaustive, mutants, scenarios, json bool
	only, seed, mutant, scenario         string
	walks                                int
	scale                                scaleFlags
}

func newSimCommand() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:     "sim",
		Short:   "Try the patch protocol in simulated worlds",
		Long:    simLong,
		Example: simExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			mode, err := f.mode(cmd.Flags().Changed("walks"))
			if err != nil {
				return err
			}
			if err := f.scale.stray(cmd); err != nil {
				return err
			}
			return mode(simOutput{cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f.json})
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.exhaustive, "exhaustive", false, "explore the small worlds to the end")
	fs.StringVar(&f.only, "only", "", "with --exhaustive: only worlds with this text in their names")
	fs.BoolVar(&f.mutants, "mutants", false, "run wrong protocols, which must be caught")
	fs.StringVar(&f.mutant, "mutant", "", "run this wrong protocol")
	fs.StringVar(&f.seed, "seed", "", "walk at random, from this seed: a number or a commit's hash")
	fs.IntVar(&f.walks, "walks", 1, "how many walks, with seeds that follow from the first")
	fs.StringVar(&f.scenario, "scenario", "", "show a scenario of docs/PROTOCOL.md: a letter or a name")
	fs.BoolVar(&f.scenarios, "scenarios", false, "list the scenarios")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	f.scale.add(cmd)
	return cmd
}

// mode returns what to run: exactly one thing must be asked for.
func (f *simFlags) mode(walksGiven bool) (func(simOutput) error, error) {
	var asked []func(simOutput) error
	var mutant sim.Mutant
	if f.mutant != "" {
		var err error
		if mutant, err = sim.FindMutant(f.mutant); err != nil {
			return nil, err
		}
	}
	add := func(on bool, run func(simOutput) error) {
		if on {
			asked = append(asked, run)
		}
	}
	add(f.exhaustive, func(o simOutput) error { return simWorlds(o, f.only) })
	add(f.mutants, simMutants)
	add(f.mutant != "" && f.seed == "", func(o simOutput) error { return simMutant(o, mutant) })
	add(f.scenarios, simScenarios)
	add(f.scenario != "", func(o simOutput) error { return simScenario(o, f.scenario) })
	add(f.scale.wanted(), func(o simOutput) error { return f.scale.run(o.ctx, o.out, o.progress, o.json) })
	if f.seed != "" {
		seed, err := parseSeed(f.seed)
		if err != nil {
			return nil, err
		}
		add(true, func(o simOutput) error { return simWalks(o, seed, f.walks, mutant) })
	}
	switch {
	case len(asked) != 1:
		return nil, errors.New("give one of --exhaustive, --seed, --mutants, --mutant, --scenario, --scenarios and --scale")
	case f.only != "" && !f.exhaustive:
		return nil, fmt.Errorf("--only %q belongs to --exhaustive", f.only)
	case walksGiven && (f.seed == "" || f.walks < 1):
		return nil, fmt.Errorf("--walks %d: one walk at least, and a --seed", f.walks)
	}
	return asked[0], nil
}
