package statickey_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

var (
	first, second, unnamed, inlined statickey.Bool

	_ = statickey.Register(&first, "test.first", "the first")
	_ = statickey.Register(&second, "test.second", "the second")
)

// patched skips what is about live text where this build reads memory by design.
func patched(t *testing.T) {
	t.Helper()
	if err := quietpatch.Arm(); err != nil {
		if len(quietpatch.Backends()) > 0 && os.Getenv("QUIETPATCH_BACKEND") != "none" {
			t.Fatal(err)
		}
		t.Skip("needs live text: ", err)
	}
}

func TestSetAndRead(t *testing.T) {
	for _, k := range []*statickey.Bool{&first, &unnamed} {
		if k.Enabled() {
			t.Error("a new key is on")
		}
		for _, on := range []bool{true, true, false, false, true, false} {
			if err := k.Set(on); err != nil || k.Enabled() != on {
				t.Errorf("Set(%v): %v, Enabled() = %v", on, err, k.Enabled())
			}
		}
	}
	if err := first.Enable(); err != nil || !first.Enabled() {
		t.Error("Enable:", err)
	}
	if err := first.Disable(); err != nil || first.Enabled() {
		t.Error("Disable:", err)
	}
}

// TestEnabledInlines: an unnamed package-level key has sites, too, and they are
// in this function.
func TestEnabledInlines(t *testing.T) {
	patched(t)
	if testing.CoverMode() != "" {
		t.Skip("needs a build without -cover of this package: the counters may keep Enabled from being inlined")
	}
	if err := errors.Join(inlined.Enable(), inlined.Disable()); err != nil {
		t.Fatal(err)
	}
	if inlined.Enabled() {
		t.Error("on")
	}
	sites, err := inlined.Sites()
	if err != nil || len(sites) == 0 {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	for _, s := range sites {
		if s.State != "armed" || !strings.HasSuffix(s.Func, "TestEnabledInlines") || !strings.HasSuffix(s.File, "statickey_test.go") || s.Line == 0 {
			t.Errorf("site %+v", s)
		}
	}
}

var heapRuns int // a name can be given once; -count runs tests again

func TestHeapKey(t *testing.T) {
	heapRuns++
	name := fmt.Sprintf("test.heap%d", heapRuns)
	k := new(statickey.Bool)
	if err := statickey.Register(k, name, "lives on the heap"); err != nil {
		t.Error(err)
	}
	if err := k.Enable(); err != nil || !k.Enabled() {
		t.Errorf("Enable: %v, Enabled() = %v", err, k.Enabled())
	}
	if _, err := k.Sites(); err == nil {
		t.Error("Sites of a heap key: no error")
	}
	patched(t)
	if _, err := k.Sites(); !errors.Is(err, statickey.ErrPlain) {
		t.Errorf("Sites: %v, expected ErrPlain", err)
	}
	for _, info := range statickey.Keys() {
		if info.Name == name && (info.Plain == "" || info.Value != 1) {
			t.Errorf("Keys says %+v", info)
		}
	}
}

func TestStackKey(t *testing.T) {
	var k statickey.Bool
	if err := k.Enable(); err != nil || !k.Enabled() {
		t.Errorf("Enable: %v, Enabled() = %v", err, k.Enabled())
	}
}

// TestCopy: a copy of a key in use is an ordinary bool, and Status says so.
func TestCopy(t *testing.T) {
	if err := errors.Join(second.Enable()); err != nil {
		t.Fatal(err)
	}
	dup := *copyOf(&second)
	if !dup.Enabled() {
		t.Error("the copy did not copy the value")
	}
	if err := dup.Disable(); err != nil || dup.Enabled() || !second.Enabled() {
		t.Errorf("Disable of the copy: %v; copy %v, key %v", err, dup.Enabled(), second.Enabled())
	}
	if _, err := dup.Sites(); !errors.Is(err, statickey.ErrPlain) || !strings.Contains(err.Error(), "test.second") {
		t.Errorf("Sites of the copy: %v", err)
	}
	var b statickey.Batch
	b.Set(&dup, true)
	b.Set(&second, false)
	if err := b.Apply(); !errors.Is(err, statickey.ErrPlain) || !second.Enabled() {
		t.Errorf("a batch with a copy: %v", err)
	}
	if p := strings.Join(quietpatch.Status().Problems, "\n"); !strings.Contains(p, "a copy of key \"test.second\"") {
		t.Errorf("problems: %s", p)
	}
	if err := second.Disable(); err != nil {
		t.Error(err)
	}
}

var over statickey.Bool

var _ = statickey.Register(&over, "test.over", "is overwritten")

// TestOverwritten: an assignment wipes the key's byte and its record, but not
// the text. The next Set brings both together again.
func TestOverwritten(t *testing.T) {
	for range 2 {
		if err := over.Enable(); err != nil || !over.Enabled() {
			t.Fatalf("Enable: %v, Enabled() = %v", err, over.Enabled())
		}
		over = statickey.Bool{}
		if err := over.Disable(); err != nil || over.Enabled() {
			t.Errorf("Disable after an assignment: %v, Enabled() = %v", err, over.Enabled())
		}
		if err := over.Enable(); err != nil {
			t.Error(err)
		}
		over = statickey.Bool{}
		if err := over.Enable(); err != nil || !over.Enabled() || !throughPointer(&over) {
			t.Errorf("Enable after an assignment: %v, Enabled() = %v, %v", err, over.Enabled(), throughPointer(&over))
		}
		if err := over.Disable(); err != nil {
			t.Error(err)
		}
	}
	if p := strings.Join(quietpatch.Status().Problems, "\n"); !strings.Contains(p, "\"test.over\" was overwritten") {
		t.Errorf("problems: %s", p)
	}
}

var left, right statickey.Bool

var (
	_ = statickey.Register(&left, "test.left", "is assigned from the other")
	_ = statickey.Register(&right, "test.right", "is assigned to the other")
)

// TestAssigned: a key that is assigned from another key in use goes on as itself.
func TestAssigned(t *testing.T) {
	if err := errors.Join(left.Enable(), right.Enable(), right.Disable()); err != nil {
		t.Fatal(err)
	}
	left = *copyOf(&right)
	for _, on := range []bool{false, true, false} {
		if err := left.Set(on); err != nil || left.Enabled() != on || throughPointer(&left) != on || right.Enabled() {
			t.Errorf("Set(%v): %v; check %v, byte %v, the other %v", on, err, left.Enabled(), throughPointer(&left), right.Enabled())
		}
	}
	var b statickey.Batch
	b.Set(&fresh, false)
	fresh = statickey.Bool{}
	if err := errors.Join(fresh.Enable(), b.Apply()); err != nil || fresh.Enabled() || throughPointer(&fresh) {
		t.Errorf("a batch queued before an assignment: %v; check %v, byte %v", err, fresh.Enabled(), throughPointer(&fresh))
	}
}

var fresh, twice statickey.Bool

// TestTwoRecords: one batch names a variable before and after an assignment. The
// last change wins, and all checks are found.
func TestTwoRecords(t *testing.T) {
	for _, last := range []bool{false, true} {
		var b statickey.Batch
		b.Set(&twice, !last)
		twice = statickey.Bool{}
		b.Set(&twice, last)
		if err := b.Apply(); err != nil || twice.Enabled() != last || throughPointer(&twice) != last {
			t.Errorf("last set to %v: %v; check %v, byte %v", last, err, twice.Enabled(), throughPointer(&twice))
		}
	}
	if err := twice.Disable(); err != nil || twice.Enabled() {
		t.Errorf("Disable: %v, check %v", err, twice.Enabled())
	}
}

// throughPointer reads the key's byte, not an armed check.
//
//go:noinline
func throughPointer(k *statickey.Bool) bool { return k.Enabled() }

// copyOf hides the copy from go vet, which would rightly object.
func copyOf(k *statickey.Bool) *statickey.Bool { return k }

func TestNames(t *testing.T) {
	if err := statickey.Register(&unnamed, "test.first", "taken"); !errors.Is(err, statickey.ErrName) || !strings.Contains(err.Error(), "the first") {
		t.Errorf("a taken name: %v", err)
	}
	if err := statickey.Register(&unnamed, "white space", ""); !errors.Is(err, statickey.ErrName) {
		t.Errorf("a bad name: %v", err)
	}
	if err := unnamed.Set(!unnamed.Enabled()); err != nil {
		t.Errorf("the key does not work after a failed registration: %v", err)
	}
	if err := unnamed.Disable(); err != nil {
		t.Error(err)
	}
}

func TestBatch(t *testing.T) {
	var b statickey.Batch
	b.Set(&first, true)
	b.Set(&second, true)
	b.Set(&first, false)
	b.Set(&first, true)
	before := quietpatch.Status().Counters.Batches
	if err := b.Apply(); err != nil {
		t.Fatal(err)
	}
	if !first.Enabled() || !second.Enabled() {
		t.Error("not both on")
	}
	if n := quietpatch.Status().Counters.Batches - before; n != 1 {
		t.Errorf("%d batches for one", n)
	}
	b.Set(&first, false)
	b.Set(&second, false)
	if err := errors.Join(b.Apply(), b.Apply()); err != nil || first.Enabled() || second.Enabled() {
		t.Errorf("off: %v", err)
	}
}

// TestConcurrent sets keys from many goroutines while others read: under -race
// it is also a test of the fallback.
func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				if err := first.Set((i+j)%2 == 0); err != nil {
					t.Error(err)
				}
				_ = second.Enabled()
				_ = first.Enabled()
				if j%50 == 0 {
					_ = quietpatch.Status()
					_ = statickey.Keys()
				}
			}
		})
	}
	wg.Wait()
	if err := first.Disable(); err != nil {
		t.Error(err)
	}
}
