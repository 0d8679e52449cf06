package staticcall

import (
	"errors"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	quietpatch "github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// TestCopied: a copy works, as an ordinary variable, and is reported.
func TestCopied(t *testing.T) {
	if err := deep.Update(deepLeaf); err != nil {
		t.Fatal(err)
	}
	var copied Call[func(int) int]
	reflect.ValueOf(&copied).Elem().Set(reflect.ValueOf(&deep).Elem()) // vet would not let us
	if err := copied.Update(func(n int) int { return -n }); err != nil {
		t.Fatal(err)
	}
	if copied.Func()(3) != -3 || deepCaller(3) != 3 || copied.Current()(4) != -4 {
		t.Error("the copy and the call are not two variables")
	}
	if _, err := copied.Sites(); !errors.Is(err, statickey.ErrPlain) {
		t.Errorf("sites of a copy: %v", err)
	}
	var b statickey.Batch
	copied.UpdateIn(&b, deepLeaf)
	if err := b.Apply(); !errors.Is(err, statickey.ErrPlain) {
		t.Errorf("a copy in a batch: %v", err)
	}
	found := false
	for _, p := range quietpatch.Status().Problems {
		found = found || strings.Contains(p, "copy")
	}
	if !found {
		t.Errorf("problems: %q", quietpatch.Status().Problems)
	}
}

// TestSyncs: two calls and a key change in one batch, by three syncs.
func TestSyncs(t *testing.T) {
	if err := errors.Join(scale.Update(double), mul.Update(mulOne), syncKey.Set(false)); err != nil {
		t.Fatal(err)
	}
	if quietpatch.Status().Mode == "memory" {
		t.Skip("needs text that can be patched: ", quietpatch.Status().Reason)
	}
	if err := errors.Join(syncKey.Set(true), syncKey.Set(false)); err != nil { // armed
		t.Fatal(err)
	}
	if err := quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.StrategyInt3}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = quietpatch.Configure(quietpatch.Options{}) }()
	if err := errors.Join(scale.Update(double), mul.Update(mulOne), syncKey.Set(false)); err != nil {
		t.Fatal(err)
	}
	before := quietpatch.Status().Counters
	var b statickey.Batch
	scale.UpdateIn(&b, triple)
	mul.UpdateIn(&b, mulTen)
	b.Set(&syncKey, true)
	if err := b.Apply(); err != nil {
		t.Fatal(err)
	}
	after := quietpatch.Status().Counters
	if after.Batches-before.Batches != 1 || after.Syncs-before.Syncs != 3 {
		t.Errorf("%d batches, %d syncs; expected 1 and 3", after.Batches-before.Batches, after.Syncs-before.Syncs)
	}
	if scaled(1) != 36 || promoted().Scale(3) != 30 || !syncOn() {
		t.Error(scaled(1), promoted().Scale(3), syncOn())
	}
	mul.UpdateIn(&b, mulOne)
	scale.UpdateIn(&b, double)
	scale.UpdateIn(&b, triple) // the last one counts
	if err := b.Apply(); err != nil {
		t.Fatal(err)
	}
	if scaled(1) != 36 || promoted().Scale(3) != 3 {
		t.Error(scaled(1), promoted().Scale(3))
	}
	if err := scale.Update(double); err != nil {
		t.Error(err)
	}
}

// TestStubSync: a new stub costs a sync of its own, before anything leads there.
func TestStubSync(t *testing.T) {
	if err := other.Update(double); err != nil {
		t.Fatal(err)
	}
	if quietpatch.Status().Mode == "memory" {
		t.Skip("needs text that can be patched: ", quietpatch.Status().Reason)
	}
	if err := quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.StrategyInt3}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = quietpatch.Configure(quietpatch.Options{}) }()
	k := 0
	for i := range 20 {
		for f, want := range []uint64{3, 4} {
			fn := []func(int) int{triple, double}[i%2]
			if f == 1 {
				fn = func(x int) int { return k * x }
			}
			before := quietpatch.Status().Counters.Syncs
			if err := other.Update(fn); err != nil {
				t.Fatal(err)
			}
			if got := quietpatch.Status().Counters.Syncs - before; got != want {
				t.Errorf("round %d, function %d: %d syncs, expected %d", i, f, got, want)
			}
		}
		runtime.GC() // the stub is freed behind the next update, and used again
	}
}

var syncKey statickey.Bool

//go:noinline
func syncOn() bool { return syncKey.Enabled() }

var overwritten = New(double)

//go:noinline
func Overwritten(x int) int { return overwritten.Func()(x) }

//go:noinline
func overwrittenCaller(x int) int { return Overwritten(x) }

type captured struct {
	n int
	_ [64]byte
}

// timesSeven returns a closure, and says when it was collected.
//
//go:noinline
func timesSeven(gone *atomic.Bool) func(int) int {
	c := &captured{n: 7}
	runtime.SetFinalizer(c, func(c *captured) { c.n = -1000; gone.Store(true) })
	return func(x int) int { return c.n * x }
}

// TestKeptAlive: armed sites lead to a closure. Nothing else may hold it, as when
// the variable was overwritten by assignment: it must not be collected.
func TestKeptAlive(t *testing.T) {
	var gone atomic.Bool
	if err := overwritten.Update(timesSeven(&gone)); err != nil {
		t.Fatal(err)
	}
	live := quietpatch.Status().Mode == "live"
	overwritten = New(double)
	if err := errors.Join(syncKey.Set(true), syncKey.Set(false)); err != nil { // the last batch is another one
		t.Fatal(err)
	}
	for range 5 {
		runtime.GC()
		_ = make([]captured, 100)
		time.Sleep(time.Millisecond)
	}
	if !live {
		return
	}
	if got := overwrittenCaller(2); got != 14 || gone.Load() {
		t.Errorf("%d from a closure that armed sites lead to; collected: %v", got, gone.Load())
	}
	// It goes when nothing leads to it any more.
	for i := 0; i < 200 && !gone.Load(); i++ {
		if err := overwritten.Update([]func(int) int{triple, double}[i%2]); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if !gone.Load() {
		t.Error("the closure is never collected")
	}
	if got := overwrittenCaller(2); got != 4 && got != 6 {
		t.Error(got)
	}
}

// TestStubsEnd: stubs that are waiting when the machine goes away.
func TestStubsEnd(t *testing.T) {
	defer func() { _ = quietpatch.Configure(quietpatch.Options{}) }()
	k := 4
	if err := errors.Join(scale.Update(func(x int) int { return k * x }), scale.Update(triple)); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	if err := quietpatch.Configure(quietpatch.Options{Backend: quietpatch.BackendNone}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(int) int{triple, func(x int) int { return k * x }, triple, double} {
		if err := scale.Update(f); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	if scaled(1) != 18 {
		t.Error(scaled(1))
	}
	for _, p := range quietpatch.Status().Problems {
		if strings.Contains(p, "stub") {
			t.Error(p)
		}
	}
}

// TestConcurrent: everything at the same time.
func TestConcurrent(t *testing.T) {
	if err := errors.Join(quietpatch.Configure(quietpatch.Options{}), other.Update(double), mul.Update(mulOne)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func(i int)) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
	for range 2 {
		loop(func(i int) {
			if n := Other(i); n != 2*i && n != 3*i && n != 5*i {
				t.Errorf("Other(%d) = %d", i, n)
			}
			if n := promoted().Scale(i); n != i && n != 10*i {
				t.Errorf("promoted: %d of %d", n, i)
			}
		})
	}
	five := 5
	loop(func(i int) {
		f := []func(int) int{double, triple, func(x int) int { return five * x }}[i%3]
		if err := other.Update(f); err != nil {
			t.Error(err)
		}
	})
	loop(func(i int) {
		var b statickey.Batch
		mul.UpdateIn(&b, []func(*inner, int) int{mulOne, mulTen}[i%2])
		b.Set(&syncKey, i%2 == 0)
		if err := b.Apply(); err != nil {
			t.Error(err)
		}
	})
	loop(func(int) {
		if _, err := other.Sites(); err != nil && quietpatch.Status().Mode == "live" {
			t.Error(err)
		}
		_, _, _ = other.Current(), quietpatch.Status(), Calls()
	})
	loop(func(i int) {
		if i%2 == 0 {
			if err := quietpatch.Disarm(); err != nil {
				t.Error(err)
			}
		} else {
			_ = quietpatch.Arm()
		}
		time.Sleep(time.Millisecond)
	})
	loop(func(int) { runtime.GC() })
	time.Sleep(300 * time.Millisecond)
	close(stop)
	wg.Wait()
	_ = quietpatch.Arm()
	if err := errors.Join(other.Update(double), mul.Update(mulOne)); err != nil || Other(1) != 2 {
		t.Error(err, Other(1))
	}
}

var registered sync.Once

func TestRegister(t *testing.T) {
	registered.Do(func() {
		if err := Register(&later, "staticcall.later", "of the tests"); err != nil {
			t.Fatal(err)
		}
	})
	if err := Register(&later, "again", ""); !errors.Is(err, statickey.ErrName) {
		t.Error(err)
	}
	if err := Register(&deep, "staticcall.later", ""); !errors.Is(err, statickey.ErrName) {
		t.Error(err)
	}
	if err := later.Update(nil); err != nil {
		t.Fatal(err)
	}
	info := func() Info {
		for _, c := range Calls() {
			if c.Name == "staticcall.later" {
				return c
			}
		}
		t.Fatalf("not listed: %+v", Calls())
		return Info{}
	}
	if c := info(); c.Target != "nil" || c.Desc != "of the tests" {
		t.Errorf("%+v", c)
	}
	if err := later.Update(laterImpl); err != nil {
		t.Fatal(err)
	}
	if c := info(); !strings.HasSuffix(c.Target, "staticcall.laterImpl") {
		t.Errorf("%+v", c)
	}
	for _, k := range statickey.Keys() {
		if k.Name == "staticcall.later" {
			t.Errorf("listed as a key: %+v", k)
		}
	}
	if n, err := statickey.Match("staticcall.*"); err != nil || len(n) != 0 {
		t.Errorf("selected as a key: %+v, %v", n, err)
	}
}

func laterImpl(ch chan<- int, n int) { ch <- n }

// TestNoCollection: without the garbage collector the world is stopped for stubs when too
// many of them wait.
func TestNoCollection(t *testing.T) {
	if testing.Short() {
		t.Skip("short: ten thousand updates")
	}
	if err := other.Update(triple); err != nil {
		t.Fatal(err)
	}
	if quietpatch.Status().Mode == "memory" {
		t.Skip("needs text that can be patched: ", quietpatch.Status().Reason)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := quietpatch.Status().Counters.GraceStops
	const updates = 10_000
	for i := range updates {
		if err := other.Update(func(x int) int { return x + i }); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 && Other(1) != 1+i {
			t.Fatalf("update %d: %d", i, Other(1))
		}
	}
	stops := quietpatch.Status().Counters.GraceStops - before
	if stops == 0 || stops > 4 {
		t.Errorf("%d stops of the world for the stubs of %d updates", stops, updates)
	}
	if s := quietpatch.Status().Stubs; s.Stubs > 2*4096 || s.Stubs == 0 || s.Waiting > s.Stubs {
		t.Errorf("stubs: %+v", s)
	}
	if err := other.Update(double); err != nil || Other(1) != 2 {
		t.Error(err, Other(1))
	}
}

var (
	bothOne = New(double)
	bothTwo = New(triple)
)

//go:noinline
func Both(x int) int { return bothOne.Func()(x) + bothTwo.Func()(x) }

// TestBoth: a function that calls two is listed for both.
func TestBoth(t *testing.T) {
	var b statickey.Batch // finds the sites of both at once
	bothOne.UpdateIn(&b, triple)
	bothTwo.UpdateIn(&b, double)
	if err := b.Apply(); err != nil || Both(1) != 5 {
		t.Error(err, Both(1))
	}
	for i, sites := range []func() ([]Site, error){bothOne.Sites, bothTwo.Sites} {
		s, err := sites()
		if err == nil && (len(s) != 1 || !strings.HasSuffix(s[0].Func, ".Both") || s[0].Why == "") {
			t.Errorf("call %d: %+v", i, s)
		}
	}
}
