package prog

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Main measures what the arguments ask for and prints a Report:
//
//	flips BACKEND TIME
//	discovery
//	checks TIME
//
// TIME is how long one row takes. It returns the exit code of the program.
func Main(p Program, args []string) int {
	r, err := p.measure(args)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (p Program) measure(args []string) (*Report, error) {
	mode, rowTime := "", time.Duration(0)
	if len(args) > 0 {
		mode = args[0]
	}
	if len(args) > 1 {
		d, err := time.ParseDuration(args[len(args)-1])
		if err != nil {
			return nil, err
		}
		rowTime = d
	}
	switch {
	case mode == ModeFlips && len(args) == 3:
		return p.flips(args[1], rowTime)
	case mode == ModeDiscovery && len(args) == 1:
		return p.discover()
	case mode == ModeChecks && len(args) == 2:
		return checks(rowTime)
	}
	return nil, fmt.Errorf("arguments: expected flips BACKEND TIME, discovery or checks TIME, found %q", args)
}

// progress tells the command above what is under way.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
