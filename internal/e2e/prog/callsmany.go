package main

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/staticcall"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["callsmany"] = callsMany }

// thousand is called from as many functions as a test has generated for it (the
// tests add a file to this program).
var thousand = staticcall.New(thousand1)

//go:noinline
func Thousand(x int) int { return thousand.Func()(x) }

func thousand1(x int) int { return x + 1 }
func thousand2(x int) int { return x + 2 }

// thousandCallers are those functions: number i returns what Thousand makes of x plus
// thousandShift, plus i.
var (
	thousandCallers []func(x int) int
	thousandShift   int
)

// manyReport is what `prog callsmany` prints: what the counters gained in each step.
type manyReport struct {
	Sites    int                            `json:"sites"`
	Armed    int                            `json:"armed"`
	Crossing int                            `json:"crossing"` // displacements that lie in two quadwords
	Wrong    int                            `json:"wrong"`
	Steps    map[string]quietpatch.Counters `json:"steps"`
	Status   quietpatch.State               `json:"status"`
}

func callsMany(args []string) (any, error) {
	if len(args) != 2 || len(thousandCallers) == 0 {
		return nil, errors.New("usage: prog callsmany STRATEGY BACKEND, in a program with generated callers")
	}
	if err := configure(args[0], args[1]); err != nil {
		return nil, err
	}
	r := manyReport{Steps: map[string]quietpatch.Counters{}}
	add := len(args) + 5
	for _, step := range []struct {
		name string
		add  int
		do   func() error
	}{
		{"arm the key", 1, otherKey.Enable},
		{"arm", 2, func() error { return thousand.Update(thousand2) }},
		{"update", 1, func() error { return thousand.Update(thousand1) }},
		{"closure", add, func() error { return thousand.Update(func(x int) int { return x + add }) }},
		{"batch", 2, func() error {
			var b statickey.Batch
			thousand.UpdateIn(&b, thousand2)
			b.Set(&otherKey, false)
			return b.Apply()
		}},
		{"same", 2, func() error { return thousand.Update(thousand2) }},
	} {
		before := quietpatch.Status().Counters
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		after := quietpatch.Status().Counters
		r.Steps[step.name] = quietpatch.Counters{
			Batches: after.Batches - before.Batches, Syncs: after.Syncs - before.Syncs, Pokes: after.Pokes - before.Pokes,
			Fallbacks: after.Fallbacks - before.Fallbacks,
		}
		for i, f := range thousandCallers {
			if f(1000-thousandShift) != 1000+i+step.add {
				r.Wrong++
			}
		}
	}
	sites, err := thousand.Sites()
	for _, s := range sites {
		r.Sites++
		if s.State == "armed" {
			r.Armed++
		}
		if (s.Addr+1)/8 != (s.Addr+4)/8 {
			r.Crossing++
		}
	}
	r.Status = quietpatch.Status()
	return r, err
}
