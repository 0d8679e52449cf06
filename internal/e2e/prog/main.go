// Command prog is the program that the end-to-end tests build in many ways and
// run: it hammers keys, prints its sites, forks while keys flip. Tests that may
// crash do it here, in a process of their own.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/quietpatch/quietpatch"
)

var programs = map[string]func(args []string) (any, error){
	"hammer":   hammer,
	"sites":    sites,
	"forkexec": forkExec,
	"disarm":   disarm,
	"spin":     spin,
	"panics":   panics,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		var names []string
		for n := range programs {
			names = append(names, n)
		}
		slices.Sort(names)
		fmt.Fprintln(os.Stderr, "usage: prog", strings.Join(names, "|"), "[flags]")
		os.Exit(2)
	}
	result, err := programs[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "prog:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "prog:", err)
		os.Exit(1)
	}
}

// configure chooses strategy and backend by name; "" leaves the default.
func configure(strategy, backend string) error {
	return quietpatch.Configure(quietpatch.Options{
		Strategy: quietpatch.Strategy(strategy), Backend: quietpatch.Backend(backend),
	})
}

func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ExitOnError) }
