package learn

import (
	"errors"
	"fmt"
	"time"
)

// Options are the numbers behind the rules. A zero field means the default, or
// less where another field bounds it; Valid has none.
type Options struct {
	Targets    int           // targets patched in at most, 1 to TargetsMax; 2
	Misses     uint32        // specific misses of one CPU that make a decision due; 1000
	CatchAll   uint32        // catch-all misses of one CPU that drop its counts; 1000
	Margin     float64       // part of the cost that a change must save; 0.1
	Window     time.Duration // how long counts are gathered; 100 ms
	Enough     uint32        // calls that a window needs to decide, at most CatchAll; 200
	Few        uint32        // calls per window below which a site is cold, at most Enough; 16
	Stable     int           // confirmations in a row that make a site quiet; 2
	Wake       time.Duration // first sleep of a site that is not counted; 1 s
	WakeMax    time.Duration // longest sleep; 60 s
	Poll       time.Duration // time between two looks while a site is counted; 10 ms
	CountedMax int           // sites counted at the same time; 512
	Costs      Costs         // as a whole; DefaultCosts

	// Valid says whether a counted target may be patched in: it is the entry of
	// a function, and of one that may be called directly. It is asked for every
	// target of every decision. A line may hold any number.
	Valid func(target uint64) bool
}

// ErrOptions is wrapped by the error of [New].
var ErrOptions = errors.New("bad options for learning targets")

// Rules are checked options. They hold scratch space for decisions: sites of
// the same Rules must not be looked at concurrently.
type Rules struct {
	o     Options
	drop  []int
	cands []candidate
}

// New returns the rules that the options describe.
func New(o Options) (*Rules, error) {
	o.fill()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return &Rules{o: o}, nil
}

func (o *Options) fill() {
	orDefault(&o.Targets, 2)
	orDefault(&o.Misses, 1000)
	orDefault(&o.CatchAll, 1000)
	orDefault(&o.Margin, 0.1)
	orDefault(&o.Window, 100*time.Millisecond)
	orDefault(&o.Enough, min(200, o.CatchAll))
	orDefault(&o.Few, min(16, o.Enough))
	orDefault(&o.Stable, 2)
	orDefault(&o.WakeMax, 60*time.Second)
	orDefault(&o.Wake, min(time.Second, o.WakeMax))
	orDefault(&o.Poll, min(10*time.Millisecond, o.Window))
	orDefault(&o.CountedMax, 512)
	orDefault(&o.Costs, DefaultCosts)
}

func orDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// durationMax keeps sums of times far from overflow.
const durationMax = 365 * 24 * time.Hour

func (o *Options) check() error {
	switch {
	case o.Valid == nil:
		return errors.New("option Valid is nil: expected a function that knows which addresses are targets")
	case o.Targets < 1 || o.Targets > TargetsMax:
		return fmt.Errorf("option Targets is %d: expected 1 to %d", o.Targets, TargetsMax)
	case !(o.Margin > 0 && o.Margin < 1): // catches NaN
		return fmt.Errorf("option Margin is %v: expected more than 0 and less than 1", o.Margin)
	case o.Enough > o.CatchAll:
		// Else the catch-all rule could drop counts for ever before they decide.
		return fmt.Errorf("option Enough is %d: expected at most CatchAll, which is %d", o.Enough, o.CatchAll)
	case o.Few > o.Enough:
		return fmt.Errorf("option Few is %d: expected at most Enough, which is %d", o.Few, o.Enough)
	case o.Stable < 0:
		return fmt.Errorf("option Stable is %d: expected at least 1", o.Stable)
	case o.CountedMax < 0:
		return fmt.Errorf("option CountedMax is %d: expected at least 1", o.CountedMax)
	}
	return errors.Join(o.checkTimes(), o.Costs.check())
}

func (o *Options) checkTimes() error {
	for _, d := range []struct {
		name       string
		is, atMost time.Duration
	}{{"Window", o.Window, durationMax}, {"Poll", o.Poll, o.Window}, {"Wake", o.Wake, o.WakeMax}, {"WakeMax", o.WakeMax, durationMax}} {
		if d.is <= 0 || d.is > d.atMost {
			return fmt.Errorf("option %s is %v: expected more than 0 and at most %v", d.name, d.is, d.atMost)
		}
	}
	return nil
}
