package quietpatch_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

var key statickey.Bool

var _ = statickey.Register(&key, "root.key", "for the tests of this package")

// TestStatusJSON: scripts read these fields.
func TestStatusJSON(t *testing.T) {
	before := quietpatch.Status()
	if s := before; s.Counters.Batches == 0 && (s.Mode != "memory" || s.Reason == "") {
		t.Errorf("before the first Set: mode %s, reason %q; expected memory and why", s.Mode, s.Reason)
	}
	if err := key.Set(!key.Enabled()); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(quietpatch.Status())
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mode", "reason", "strategy", "backend", "assurance", "keys", "sites", "armed", "counters", "problems"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %q in %s", name, b)
		}
	}
	var counters map[string]uint64
	if err := json.Unmarshal(fields["counters"], &counters); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"batches", "syncs", "pokes", "fallbacks", "trap_hits", "trap_late", "trap_retried", "trap_foreign"} {
		if _, ok := counters[name]; !ok {
			t.Errorf("no counter %q in %s", name, fields["counters"])
		}
	}
	if n := counters["batches"] - before.Counters.Batches; n != 1 {
		t.Errorf("%d batches, expected 1", n)
	}
}

func TestConfigureRefusesNonsense(t *testing.T) {
	for _, o := range []quietpatch.Options{{Strategy: "stopworld"}, {Backend: "mprotect"}} {
		if err := quietpatch.Configure(o); err == nil {
			t.Errorf("Configure(%+v) accepted", o)
		}
	}
}

// TestDisarmArm works with and without live text: keys keep their values.
func TestDisarmArm(t *testing.T) {
	if err := key.Enable(); err != nil {
		t.Fatal(err)
	}
	if err := quietpatch.Disarm(); err != nil {
		t.Fatal(err)
	}
	if s := quietpatch.Status(); s.Mode != "memory" || s.Armed != 0 || !key.Enabled() {
		t.Errorf("after Disarm: mode %s, %d armed, key %v", s.Mode, s.Armed, key.Enabled())
	}
	err := quietpatch.Arm()
	live := quietpatch.Status().Mode == "live"
	if live != (err == nil) || !key.Enabled() {
		t.Errorf("Arm: %v, live %v, key %v", err, live, key.Enabled())
	}
	if live != (len(quietpatch.Backends()) > 0) {
		t.Errorf("live %v, backends that work: %q", live, quietpatch.Backends())
	}
}

func TestBackends(t *testing.T) {
	for _, b := range quietpatch.Backends() {
		if !slices.Contains([]string{"procmem", "alias"}, b) {
			t.Errorf("backend %q", b)
		}
	}
}
