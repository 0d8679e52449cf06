package demo

import (
	"fmt"
	"sync/atomic"
)

// A gate tells the clients what the key was while a request was under way.
// Its word is
//
//	flips << 2 | on << 1 | flipping
//
// The flipper sets the flipping bit before a flip and clears it after, and
// counts the flip either way. A client reads the word before it sends a
// request and after it has the response. If both are the same and nothing is
// flipping, then no flip touched the request, and all its checks must have
// seen the value in the word.
type gate struct {
	word atomic.Uint64
}

const (
	gateFlipping = 1 << 0
	gateOn       = 1 << 1
	gateFlip     = 1 << 2
)

// flip calls set(on) with the gate's word around it. After an error the old
// value must hold everywhere, so the word goes on saying the old value.
func (g *gate) flip(on bool, set func(bool) error) error {
	old := g.word.Load()
	g.word.Store(old | gateFlipping)
	err := set(on)
	next := (old &^ gateOn) + gateFlip
	if on {
		next |= gateOn
	}
	if err != nil {
		next = old + gateFlip
	}
	g.word.Store(next)
	return err
}

func (g *gate) read() uint64 { return g.word.Load() }

func (g *gate) on() bool { return g.word.Load()&gateOn != 0 }

// A report is what a response says about the stages of its request.
type report struct {
	stages   int    // recorded
	distinct int    // different ones
	missing  string // mask of those that were not recorded
}

// check judges a report from the gate's word before and after the request. It
// reports whether the number of stages could be checked, and what is wrong.
func (g *gate) check(before, after uint64, r report, all int) (checked bool, err error) {
	if r.distinct != r.stages {
		return true, fmt.Errorf("%d stages recorded, but %d different ones: want the same number", r.stages, r.distinct)
	}
	if before != after || before&gateFlipping != 0 {
		return false, nil
	}
	want, name := 0, "off"
	if before&gateOn != 0 {
		want, name = all, "on"
	}
	if r.stages != want {
		return true, fmt.Errorf("the key was %s during the whole request (flip %d), but %d of %d stages were recorded (missing: %s)",
			name, before/gateFlip, r.stages, all, r.missing)
	}
	return true, nil
}
