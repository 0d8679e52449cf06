package engine

import (
	"fmt"
	"os"
	"strings"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Options chooses how text is changed. The zero value leaves every choice to
// the environment, and where that is silent to the engine.
type Options struct {
	Strategy    string // "store", "int3", "one-at-a-time", "" for the default
	Backend     string // "procmem", "alias", "none", "" for the default
	AllowTracer bool   // take traps although a debugger or strace is attached
}

// Environment variables, read at the first arm and by Configure.
const (
	envStrategy = "QUIETPATCH_STRATEGY"
	envBackend  = "QUIETPATCH_BACKEND"
	envTracer   = "QUIETPATCH_TRACER" // "allow"
)

// Backend names. Those of package text are repeated here because that package
// is empty on other systems.
const (
	BackendProcmem = "procmem"
	BackendAlias   = "alias"
	BackendNone    = "none"
)

var strategies = []protocol.Strategy{protocol.Store, protocol.Int3, protocol.OneAtATime}

func parseStrategy(name string) (protocol.Strategy, error) {
	for _, s := range strategies {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("strategy %q: expected store, int3 or one-at-a-time", name)
}

func checkBackend(name string) error {
	switch name {
	case "", BackendProcmem, BackendAlias, BackendNone:
		return nil
	}
	return fmt.Errorf("backend %q: expected procmem, alias or none", name)
}

// check reports the first option that makes no sense.
func (o Options) check() error {
	if o.Strategy != "" {
		if _, err := parseStrategy(o.Strategy); err != nil {
			return err
		}
	}
	return checkBackend(o.Backend)
}

// withEnv fills what the options leave open from the environment. What the
// environment says wrongly is ignored and returned as problems: a typo must
// not stop a program.
func (o Options) withEnv() (Options, []string) {
	var problems []string
	if v := os.Getenv(envStrategy); v != "" && o.Strategy == "" {
		if _, err := parseStrategy(v); err != nil {
			problems = append(problems, fmt.Sprintf("%s ignored: %v", envStrategy, err))
		} else {
			o.Strategy = v
		}
	}
	if v := os.Getenv(envBackend); v != "" && o.Backend == "" {
		if err := checkBackend(v); err != nil {
			problems = append(problems, fmt.Sprintf("%s ignored: %v", envBackend, err))
		} else {
			o.Backend = v
		}
	}
	switch v := os.Getenv(envTracer); strings.ToLower(v) {
	case "":
	case "allow":
		o.AllowTracer = true
	default:
		problems = append(problems, fmt.Sprintf("%s ignored: %q: expected allow", envTracer, v))
	}
	return o, problems
}
