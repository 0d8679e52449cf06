//go:build linux && amd64

package e2e

import (
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// numbersReport is what `prog numbers` prints.
type numbersReport struct {
	Changes  int
	NoWait   int `json:"no_wait"`
	Refused  int
	NoSync   int `json:"no_sync"`
	OneSync  int `json:"one_sync"`
	More     int `json:"more_syncs"`
	Armed    map[string]int
	Memory   map[string]int
	Crossing int
	Verified uint64
	Wrong    uint64
	First    string
	Fault    string
	Seconds  float64
	Status   quietpatch.State
}

func (r *numbersReport) check(t *testing.T) {
	t.Helper()
	t.Logf("%d changes in %.1f s (%s on %s), %d rounds verified; %d without waiting, %d refused; %d with no sync, %d with one, %d with more; armed %v, memory %v",
		r.Changes, r.Seconds, r.Status.Strategy, r.Status.Backend, r.Verified, r.NoWait, r.Refused, r.NoSync, r.OneSync, r.More, r.Armed, r.Memory)
	if r.Wrong != 0 || r.First != "" || r.Fault != "" {
		t.Errorf("%d wrong rounds; the first: %s; %s", r.Wrong, r.First, r.Fault)
	}
	if r.Verified < uint64(r.Changes) || r.Changes == 0 {
		t.Errorf("%d rounds verified for %d changes", r.Verified, r.Changes)
	}
	if c := r.Status.Counters; c.TrapForeign != 0 || c.Fallbacks != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("status %+v", r.Status)
	}
}

// TestNumbers changes numbers from every value of a nasty list to every other (by default
// to some). After each change all forms of checks must see exactly the new value, on another
// thread, too, before the next change; and the change must have cost as many syncs as the
// bytes that it changed need, one or three.
func TestNumbers(t *testing.T) {
	each := "4"
	if *long {
		each = "1"
	} else if testing.Short() {
		each = "30"
	}
	for _, strategy := range []string{"store", "int3"} {
		for _, backend := range []string{"procmem", "alias"} {
			t.Run(strategy+" "+backend, func(t *testing.T) {
				var r numbersReport
				run(t, &r, build(t, nil), "numbers", "-strategy", strategy, "-backend", backend, "-each", each)
				live(t, r.Status)
				r.check(t)
				for _, form := range []string{"mov-long", "mov-quad", "movsl-quad", "cmp-long", "cmp-quad"} {
					if r.Armed[form] == 0 {
						t.Errorf("no site of the form %s was armed: %v", form, r.Armed)
					}
				}
				if r.Memory["mov-quad"] == 0 || r.Memory["mov-long"] != 0 || r.Crossing == 0 || r.NoWait == 0 || r.Refused == 0 {
					t.Errorf("expected sites whose value fits no immediate, and others that cross a quadword: memory %v, %d crossing, %d without waiting, %d refused",
						r.Memory, r.Crossing, r.NoWait, r.Refused)
				}
				if (strategy == "store") != (r.OneSync > 0) || r.More == 0 {
					t.Errorf("by %s %d changes with one sync, %d with more", strategy, r.OneSync, r.More)
				}
			})
		}
	}
}

// TestSealRegistered: a key that was registered and never set is sealed, too.
func TestSealRegistered(t *testing.T) {
	var keys []statickey.Key
	run(t, &keys, build(t, nil), "seal")
	for _, k := range keys {
		if k.Seal != (k.Name == "prog.sealed") {
			t.Errorf("%+v", k)
		}
	}
}
