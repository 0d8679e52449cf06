package demo

import (
	"errors"
	"testing"
)

const testStages = 56

func TestGateCheck(t *testing.T) {
	const (
		off      = 4 * gateFlip
		on       = 5*gateFlip | gateOn
		flipping = on | gateFlipping
	)
	none, all := report{}, report{stages: testStages, distinct: testStages}
	some := report{stages: 20, distinct: 20}
	twice := report{stages: testStages, distinct: testStages - 1}
	for _, tc := range []struct {
		name          string
		before, after uint64
		r             report
		checked, ok   bool
	}{
		{"off, none", off, off, none, true, true},
		{"off, all", off, off, all, true, false},
		{"off, some", off, off, some, true, false},
		{"on, all", on, on, all, true, true},
		{"on, none", on, on, none, true, false},
		{"on, some", on, on, some, true, false},
		{"on, one missing", on, on, report{stages: testStages - 1, distinct: testStages - 1}, true, false},
		{"flipped meanwhile, some", off, on, some, false, true},
		{"flipped twice, some", off, off + 2*gateFlip, some, false, true},
		{"flip under way, some", flipping, flipping, some, false, true},
		{"flip began, some", on, flipping, some, false, true},
		{"a stage twice", on, on, twice, true, false},
		{"a stage twice, flipped meanwhile", off, on, twice, true, false},
	} {
		var g gate
		checked, err := g.check(tc.before, tc.after, tc.r, testStages)
		if checked != tc.checked || (err == nil) != tc.ok {
			t.Errorf("%s: checked %v, error %v; want checked %v, ok %v", tc.name, checked, err, tc.checked, tc.ok)
		}
	}
}

func TestGateFlip(t *testing.T) {
	var g gate
	var during uint64
	set := func(err error) func(bool) error {
		return func(bool) error { during = g.read(); return err }
	}
	if err := g.flip(true, set(nil)); err != nil || !g.on() {
		t.Fatalf("flip: error %v, on %v", err, g.on())
	}
	if during&gateFlipping == 0 {
		t.Error("the gate does not say that a flip is under way")
	}
	if g.read()&gateFlipping != 0 {
		t.Error("the gate still says that a flip is under way")
	}

	// After an error the old value holds, but requests during the flip must
	// not be checked.
	before := g.read()
	if err := g.flip(false, set(errors.New("refused"))); err == nil {
		t.Error("the error was lost")
	}
	if !g.on() {
		t.Error("the gate says off after a flip to off that failed")
	}
	if g.read() == before {
		t.Error("the gate does not show that there was a flip")
	}
}
