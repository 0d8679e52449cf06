package statickey_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// TestOnAlias runs the tests again on the other backend, in a process of its own,
// because alias cannot be left.
func TestOnAlias(t *testing.T) {
	patched(t)
	cmd := exec.Command(os.Args[0], "-test.run=Value|Compare|Seal|NoWait|Start|Batch|Counted|Match")
	cmd.Env = append(os.Environ(), "QUIETPATCH_BACKEND=alias")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var startsLarge = statickey.Of(5 * time.Second)

//go:noinline
func readStartsLarge() time.Duration { return startsLarge.Get() }

// TestStartsWithoutForm: a value that has no immediate at the start may get one.
func TestStartsWithoutForm(t *testing.T) {
	for _, v := range []time.Duration{10 * time.Second, time.Second, 5 * time.Second, time.Millisecond} {
		if err := startsLarge.Set(v); err != nil || readStartsLarge() != v {
			t.Errorf("Set(%v): %v, reads %v", v, err, readStartsLarge())
		}
	}
	patched(t)
	ss, err := startsLarge.Sites()
	for _, s := range ss {
		if strings.HasSuffix(s.Func, ".readStartsLarge") && s.State != "armed" {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// TestSetAfterNoWait: Set promises what the change before it only announced.
func TestSetAfterNoWait(t *testing.T) {
	patched(t)
	if err := quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.StrategyStore}); err != nil {
		t.Fatal(err)
	}
	defer quietpatch.Configure(quietpatch.Options{})
	if err := errors.Join(soon.Set(true), soon.Set(false), soon.SetNoWait(true)); err != nil {
		t.Fatal(err)
	}
	before := quietpatch.Status().Counters.Syncs
	if err := soon.Set(true); err != nil {
		t.Fatal(err)
	}
	if s := quietpatch.Status(); s.Counters.Syncs != before+1 || s.Unsynced {
		t.Errorf("%d syncs, unsynced %v", s.Counters.Syncs-before, s.Unsynced)
	}
}

var (
	onlyRegistered statickey.Sealed
	_              = statickey.RegisterSealed(&onlyRegistered, "test.only-registered", "never set")
)

func TestSealRegistered(t *testing.T) {
	if err := statickey.Seal(); err != nil {
		t.Error(err)
	}
	if err := onlyRegistered.Set(true); !errors.Is(err, statickey.ErrSealed) || onlyRegistered.Enabled() {
		t.Errorf("Set: %v, on %v", err, onlyRegistered.Enabled())
	}
}

var notArmed statickey.Sealed

//go:noinline
func isNotArmed() bool {
	return notArmed.Enabled()
}

// TestSealDisarmed: Seal says that nothing could be armed, and why.
func TestSealDisarmed(t *testing.T) {
	patched(t)
	if isNotArmed() {
		return // -count runs tests again, and Seal is for good
	}
	if err := quietpatch.Disarm(); err != nil {
		t.Fatal(err)
	}
	if err := notArmed.Set(true); err != nil {
		t.Fatal(err)
	}
	if err := statickey.Seal(); err == nil || !strings.Contains(err.Error(), "Disarm") {
		t.Errorf("Seal: %v", err)
	}
	if err := notArmed.Set(false); !errors.Is(err, statickey.ErrSealed) || !isNotArmed() {
		t.Errorf("Set: %v, reads %v", err, isNotArmed())
	}
	if err := quietpatch.Arm(); err != nil || !isNotArmed() {
		t.Errorf("Arm: %v, reads %v", err, isNotArmed())
	}
}

// Two numbers of eight bytes side by side: on 32-bit systems each needs to be
// aligned for atomics.
var pair struct{ a, b statickey.Duration }

func TestAlignment(t *testing.T) {
	if err := errors.Join(pair.a.Set(1), pair.b.Set(2)); err != nil || pair.a.Get() != 1 || pair.b.Get() != 2 {
		t.Errorf("%v, %v, %v", err, pair.a.Get(), pair.b.Get())
	}
}

var rejudged statickey.Int32

// TestValidateMeanwhile: a validation that is installed while a value is being
// judged by the one before it judges that value, too.
func TestValidateMeanwhile(t *testing.T) {
	_ = rejudged.Validate(func(int32) error { return nil }) // -count
	if err := rejudged.Set(0); err != nil {
		t.Fatal(err)
	}
	first := true
	err := rejudged.Validate(func(int32) error {
		if first {
			first = false
			return nil // the present value
		}
		return rejudged.Limit(0, 10)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := rejudged.Set(99); !errors.Is(err, statickey.ErrRange) || rejudged.Get() != 0 {
		t.Errorf("Set(99): %v, is %d", err, rejudged.Get())
	}
	if err := rejudged.Set(9); err != nil || rejudged.Get() != 9 {
		t.Errorf("Set(9): %v, is %d", err, rejudged.Get())
	}
}

var (
	followed statickey.Counted
	_        = statickey.RegisterCounted(&followed, "test.followed", "counts its users")
)

// TestCountedByHand: a counted key cannot be turned over the heads of its users.
func TestCountedByHand(t *testing.T) {
	if err := followed.Inc(); err != nil {
		t.Fatal(err)
	}
	if _, err := statickey.SetMatching("test.followed", "off"); !errors.Is(err, statickey.ErrCount) || !followed.Enabled() {
		t.Errorf("SetMatching: %v, on %v", err, followed.Enabled())
	}
	if err := followed.Dec(); err != nil || followed.Enabled() {
		t.Errorf("Dec: %v, on %v", err, followed.Enabled())
	}
}

// TestSubscribeOnce: a subscriber may end its subscription.
func TestSubscribeOnce(t *testing.T) {
	n := 0
	var cancel func()
	cancel = quietpatch.Subscribe(func(quietpatch.Event) { n++; cancel() })
	on := first.Enabled()
	if err := errors.Join(first.Set(!on), first.Set(on)); err != nil || n != 1 {
		t.Errorf("%v, %d events", err, n)
	}
}
