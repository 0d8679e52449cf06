package dyncall

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/internal/learn"
	"github.com/quietpatch/quietpatch/internal/stub"
)

// Options say what to learn, and how. The zero value asks for the defaults.
type Options struct {
	// Functions are patterns of the functions whose indirect calls are learned, such
	// as "encoding/json.*" or "*": * stands for any characters, ? for one, [a-z] for
	// one of several. Names are those of package runtime. None: all functions.
	Functions []string
	// Except are patterns of functions that are left out.
	Except []string
	// Targets is how many callees a call is promoted to at most: 1 to 6; 2 by default.
	Targets int
	// Misses is how many calls of one CPU that go to other callees make it time to
	// choose anew; 1000 by default. CatchAll is how many that have no place in the
	// table make the counts worthless; 1000 by default.
	Misses, CatchAll int
	// Window is how long a call is counted before a choice is made or confirmed
	// although there are fewer; 100 ms by default.
	Window time.Duration
	// Wake is how long a call is left as it is before it is looked at again; 1 s by
	// default. It doubles each time nothing has changed, up to WakeMax, 60 s.
	Wake, WakeMax time.Duration
	// CountedMax is how many calls are counted at a time. Each takes 128 bytes for
	// each CPU that there may be (a power of two); by default 512, fewer on machines with more than
	// 64 CPUs.
	CountedMax int
	// Notify, if not nil, is called for each call that was promoted anew or given
	// back, on the goroutine that learns. It must be quick, and must not call this package.
	Notify func(Event)
}

// Event tells of one call whose targets have changed.
type Event struct {
	Func    string   // that holds the call
	Addr    uint64   // of the call
	Targets []string // the functions that it is promoted to now; none: the retpoline
}

// Errors that callers may test for.
var (
	// ErrNoRetpolines: the program was built without -spectre=ret.
	ErrNoRetpolines = engine.ErrNoThunks
	// ErrRunning: Start was called already.
	ErrRunning = errors.New("dyncall runs already")
	// ErrOptions: the options make no sense.
	ErrOptions = errors.New("dyncall options")
)

// rules translates the options.
func (o *Options) rules(lines int, valid func(uint64) bool) (*learn.Rules, error) {
	if o.CountedMax < 0 || o.CountedMax > 1<<20 {
		return nil, fmt.Errorf("%w: CountedMax is %d: expected 0 (for the default) to %d", ErrOptions, o.CountedMax, 1<<20)
	}
	if o.Misses < 0 || o.CatchAll < 0 || o.Misses > 1<<30 || o.CatchAll > 1<<30 {
		return nil, fmt.Errorf("%w: Misses is %d and CatchAll %d: expected 0 (for the default) to %d", ErrOptions, o.Misses, o.CatchAll, 1<<30)
	}
	for _, p := range append(append([]string{}, o.Functions...), o.Except...) {
		if err := engine.CheckGlob(p); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	r, err := learn.New(learn.Options{
		Targets: o.Targets, Misses: uint32(o.Misses), CatchAll: uint32(o.CatchAll), Window: o.Window,
		Wake: o.Wake, WakeMax: o.WakeMax, CountedMax: o.countedMax(lines), Valid: valid,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return r, nil
}

// countedMax is the option, or what takes 4 MB at most.
func (o *Options) countedMax(lines int) int {
	if o.CountedMax == 0 {
		return min(max(tableBytes/(lines*stub.LineSize), countedLow), countedHigh)
	}
	return o.CountedMax
}

const (
	tableBytes  = 4 << 20
	countedLow  = 16
	countedHigh = 512

	// fips is the validated module, whose text is to stay as it was validated.
	fips      = "crypto/internal/fips140"
	ourModule = "github.com/quietpatch/quietpatch/"
)

// picks reports whether the indirect calls of the function are to be learned.
func (o *Options) picks(fn string) bool {
	if rest, ours := strings.CutPrefix(fn, ourModule); ours &&
		(strings.HasPrefix(rest, "internal/") || strings.HasPrefix(rest, "dyncall.(*") || strings.HasPrefix(rest, "isolate.")) {
		return false // they do the patching, or run on threads that are left alone by it
	}
	if strings.HasPrefix(fn, fips) {
		return false
	}
	return (len(o.Functions) == 0 || matches(o.Functions, fn)) && !matches(o.Except, fn)
}

func matches(patterns []string, fn string) bool {
	for _, p := range patterns {
		if engine.Glob(p, fn) {
			return true
		}
	}
	return false
}
