package statickey_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

func batches() uint64 { return quietpatch.Status().Counters.Batches }

var (
	fast, late statickey.Sealed
	_          = statickey.RegisterSealed(&fast, "test.fast", "decided at the start")
)

// Every test that calls Seal seals it, so it is set before.
var errFast error

func init() { errFast = fast.Set(true) }

//go:noinline
func isFast() bool {
	return fast.Enabled()
}

// TestSeal: set, sealed, constant; Disarm puts the compiler's bytes back although
// no table was kept, and Arm arms again.
func TestSeal(t *testing.T) {
	if err := errors.Join(errFast, statickey.Seal()); err != nil {
		t.Error(err)
	}
	if err := fast.Set(false); !errors.Is(err, statickey.ErrSealed) || !isFast() || !strings.Contains(err.Error(), `"test.fast"`) {
		t.Errorf("Set after Seal: %v, reads %v", err, isFast())
	}
	if err := fast.Set(true); !errors.Is(err, statickey.ErrSealed) {
		t.Errorf("Set to the same value after Seal: %v", err)
	}
	patched(t)
	if ss, err := fast.Sites(); err != nil || len(ss) != 0 {
		t.Errorf("%d sites kept, %v", len(ss), err)
	}
	armed := quietpatch.Status().Armed
	if err := quietpatch.Disarm(); err != nil {
		t.Fatal(err)
	}
	if n := quietpatch.Status().Armed; n != 0 || !isFast() {
		t.Errorf("%d armed after Disarm, reads %v", n, isFast())
	}
	ss, err := fast.Sites()
	if err != nil || len(ss) == 0 {
		t.Errorf("after Disarm %d sites are known, %v", len(ss), err)
	}
	for _, s := range ss {
		if s.State != "memory" || s.Why != "" {
			t.Errorf("%+v", s)
		}
	}
	if err := quietpatch.Arm(); err != nil {
		t.Fatal(err)
	}
	if n := quietpatch.Status().Armed; n < armed || !isFast() {
		t.Errorf("%d armed again, before %d; reads %v", n, armed, isFast())
	}
	if ss, _ := fast.Sites(); len(ss) != 0 {
		t.Errorf("%d sites kept after Arm", len(ss))
	}
}

// TestSealLate: a key that is first used after Seal can be set until the next.
func TestSealLate(t *testing.T) {
	if late.Enabled() {
		return // -count runs tests again, and Seal is for good
	}
	if err := errors.Join(statickey.Seal(), late.Set(true)); err != nil || !late.Enabled() {
		t.Errorf("%v, on %v", err, late.Enabled())
	}
	if err := statickey.Seal(); err != nil {
		t.Log(err)
	}
	if err := late.Set(false); !errors.Is(err, statickey.ErrSealed) || !late.Enabled() {
		t.Errorf("Set after the second Seal: %v, on %v", err, late.Enabled())
	}
}

var soon, other statickey.Bool

//go:noinline
func isSoon() bool {
	return soon.Enabled()
}

// TestNoWait: stores only, no sync; then one Sync for all, and none without need.
func TestNoWait(t *testing.T) {
	patched(t)
	if err := quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.StrategyStore}); err != nil {
		t.Fatal(err)
	}
	defer quietpatch.Configure(quietpatch.Options{})
	if err := errors.Join(soon.Set(true), soon.Set(false), other.Set(true), statickey.Sync()); err != nil {
		t.Fatal(err)
	}
	before := quietpatch.Status().Counters
	for i := range 101 {
		if err := soon.SetNoWait(i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	var b statickey.Batch
	b.Set(&other, false)
	b.Set(&soon, true)
	if err := b.ApplyNoWait(); err != nil {
		t.Fatal(err)
	}
	s := quietpatch.Status()
	if s.Counters.Syncs != before.Syncs || s.Counters.Pokes == before.Pokes || !s.Unsynced {
		t.Errorf("%d syncs, %d pokes, unsynced %v", s.Counters.Syncs-before.Syncs, s.Counters.Pokes-before.Pokes, s.Unsynced)
	}
	if err := errors.Join(statickey.Sync(), statickey.Sync()); err != nil {
		t.Error(err)
	}
	s = quietpatch.Status()
	if s.Counters.Syncs != before.Syncs+1 || s.Unsynced || !isSoon() || other.Enabled() {
		t.Errorf("after Sync: %d syncs, unsynced %v, reads %v", s.Counters.Syncs-before.Syncs, s.Unsynced, isSoon())
	}
}

// TestNoWaitRefused: with int3 nothing can be changed without waiting, and nothing is.
func TestNoWaitRefused(t *testing.T) {
	patched(t)
	if err := quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.StrategyInt3}); err != nil {
		t.Fatal(err)
	}
	defer quietpatch.Configure(quietpatch.Options{})
	if err := soon.Set(false); err != nil {
		t.Fatal(err)
	}
	if err := soon.SetNoWait(true); !errors.Is(err, statickey.ErrNoWait) || isSoon() || !strings.Contains(err.Error(), "int3") {
		t.Errorf("%v, reads %v", err, isSoon())
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		selector string
		want     string
	}{
		{"test.first", "test.first"},
		{"test.[fs]*t", "test.fast test.first"},
		{"test.f*", "test.fast test.first"},
		{"nothing*", ""},
	} {
		ss, err := statickey.Match(c.selector)
		var names []string
		for _, s := range ss {
			if s.Name == "test.first" || s.Name == "test.fast" {
				names = append(names, s.Name)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; expected %q", c.selector, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "a b", "line", "line 0", "line 9-3", "line x", "file a file b", "[", "name"} {
		if _, err := statickey.Match(bad); !errors.Is(err, statickey.ErrSelector) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	patched(t)
	for selector, want := range map[string]bool{
		"file value_test.go func readRetries": true, "func *.readRetries": true, "file */value_test.go": true,
		"file sealed_test.go": false, "test.ret* line 1-1": false, "test.ret* line 20-60": true, "func readMask": false,
	} {
		ss, err := statickey.Match(selector)
		found := false
		for _, s := range ss {
			found = found || s.Name == "test.retries" && len(s.SiteList) > 0
		}
		if err != nil || found != want {
			t.Errorf("%q: finds test.retries %v, %v; expected %v", selector, found, err, want)
		}
	}
}

func TestSetMatching(t *testing.T) {
	if n, err := statickey.SetMatching("test.retries", "0x11"); n != 1 || err != nil || readRetries() != 17 {
		t.Errorf("%d, %v, reads %d", n, err, readRetries())
	}
	if n, err := statickey.SetMatching("test.[rt]*", "1s"); err == nil || readRetries() != 17 {
		t.Errorf("%d keys took 1s, %v; reads %d", n, err, readRetries())
	}
	if n, err := statickey.SetMatching("test.first", "on"); n != 1 || err != nil || !first.Enabled() {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := statickey.SetMatching("test.first", "perhaps"); err == nil || !first.Enabled() {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := statickey.SetMatching("nothing", "on"); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := statickey.SetMatching("test.first", "off"); err != nil {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	var events []quietpatch.Event
	cancel := quietpatch.Subscribe(func(e quietpatch.Event) { events = append(events, e) })
	on := !first.Enabled()
	if err := errors.Join(first.Set(on), first.Set(on)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := first.Set(!on); err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].KeyCount != 1 || events[0].Keys[0] != "test.first" || events[0].Start.IsZero() || events[0].Err != nil {
		t.Errorf("%+v", events)
	}
}
