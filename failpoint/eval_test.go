package failpoint

import (
	"bytes"
	"context"
	"errors"
	"log"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var evalPoint Point

const evalName = "test/eval"

func init() {
	if err := Register(&evalPoint, evalName, "of eval_test.go"); err != nil {
		log.Print(err)
	}
}

// enable gives evalPoint terms until the test is over.
func enable(t testing.TB, terms string) {
	t.Helper()
	if err := Allow(); err != nil {
		t.Fatal(err)
	}
	if err := Enable(evalName, terms); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Disable(evalName); err != nil && !errors.Is(err, ErrDisabled) {
			t.Fatal(err)
		}
		if _, ok := evalPoint.Eval(); ok || evalPoint.on.Enabled() {
			t.Error("the point is on after Disable")
		}
	})
}

// TestSequences has the cases of both peers' TestTermsString, TestTermsTypes
// and TestFailpoints. nil: the code at the point does not run.
func TestSequences(t *testing.T) {
	none := struct{}{}
	for _, tt := range []struct {
		terms string
		want  []any
	}{
		{`off`, []any{nil, nil}},
		{`2*return("abc")`, []any{"abc", "abc", nil, nil}},
		{`0%return("abc")`, []any{nil, nil, nil}},
		{`100%return("abc")`, []any{"abc", "abc", "abc"}},
		{`100.0%return("abc")`, []any{"abc", "abc", "abc"}},
		{`100%2*return("abc")`, []any{"abc", "abc", nil}},
		{`2*return("abc")->1*return("def")`, []any{"abc", "abc", "def", nil}},
		{`1*return("abc")->return("def")`, []any{"abc", "def", "def"}},
		{`2*return(5)->1*return(true)->1*return(false)->1*return(20)`, []any{5, 5, true, false, 20, nil}},
		{`return`, []any{none}},
		{`return()`, []any{none}},
		{`1*return->1*return(1)`, []any{none, 1, nil}},
		{`1*off->return(1)`, []any{nil, 1}},
		{`1*sleep(0)->1*sleep("1us")->return(-1)`, []any{nil, nil, -1}},
		{`0*return(1)->return(2)`, []any{2, 2}},
		// The order of modifiers: a count before a chance is used up by it.
		{`2*0%return(1)->return(2)`, []any{2, 2, 2}},
		{`3*2*return(1)`, []any{1, 1, nil}},
	} {
		enable(t, tt.terms)
		for i, want := range tt.want {
			v, ok := evalPoint.Eval()
			if ok != (want != nil) || !reflect.DeepEqual(v.Any(), want) {
				t.Errorf("%s: evaluation %d: got %v (%v), expected %v", tt.terms, i, v.Any(), ok, want)
			}
		}
	}
	// A chance behind a count that it does not use up.
	enable(t, `0%1*return(1)->1*return(2)`)
	evalPoint.Eval()
	evalPoint.Eval()
	if left := evalPoint.active.Load().terms[0].mods[1].left; left != 1 {
		t.Errorf("0%%1*: %d left of the count, expected 1", left)
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct{ evals, want int }{{12, 11}, {3, 3}, {0, 0}} {
		const terms = `10*sleep(0)->1*return("abc")`
		enable(t, terms)
		for range tt.evals {
			evalPoint.Eval()
		}
		got, count, err := Status(evalName)
		if got != terms || count != tt.want || err != nil {
			t.Errorf("%d evaluations: got %q, %d, %v, expected count %d", tt.evals, got, count, err, tt.want)
		}
	}
}

func TestValue(t *testing.T) {
	one := func(terms string) Value {
		enable(t, terms)
		v, ok := evalPoint.Eval()
		if !ok {
			t.Fatalf("%s: not ok", terms)
		}
		return v
	}
	v := one(`return("disk full")`)
	s, isStr := v.Str()
	_, isInt := v.Int()
	_, isBool := v.Bool()
	if s != "disk full" || !isStr || isInt || isBool || v.String() != s || v.Err().Error() != s {
		t.Errorf("string: %q, %v, %v, %v, %q, %v", s, isStr, isInt, isBool, v, v.Err())
	}
	if i, ok := one("return(5)").Int(); i != 5 || !ok {
		t.Errorf("int: %d, %v", i, ok)
	}
	if b, ok := one("return(true)").Bool(); !b || !ok {
		t.Errorf("bool: %v, %v", b, ok)
	}
	for terms, want := range map[string]string{
		"return":       "failpoint test/eval",
		"return(5)":    "failpoint test/eval: 5",
		"return(true)": "failpoint test/eval: true",
	} {
		v := one(terms)
		if err := v.Err(); err.Error() != want || !errors.Is(err, ErrInjected) || v.String() != "" {
			t.Errorf("%s: %v, %q, expected %s", terms, err, v, want)
		}
	}
	var injected *Error
	if err := one("return(5)").Err(); !errors.As(err, &injected) || injected.Point != evalName || injected.Value != 5 {
		t.Errorf("%#v", injected)
	}
	zero := Value{}
	if zero.Err() != nil || zero.Any() != nil || zero.String() != "" {
		t.Errorf("zero Value: %v, %v, %q", zero.Err(), zero.Any(), zero)
	}
}

func TestProbability(t *testing.T) {
	const n = 40000
	for terms, p := range map[string]float64{"25.5%return": 0.255, "50%return": 0.5, "1%return": 0.01, "50%50%return": 0.25} {
		enable(t, terms)
		hits := 0
		for range n {
			if _, ok := evalPoint.Eval(); ok {
				hits++
			}
		}
		// Six sigma: a false alarm in a billion runs.
		if tolerance := 6 * math.Sqrt(n*p*(1-p)); math.Abs(float64(hits)-n*p) > tolerance {
			t.Errorf("%s: %d hits of %d, expected %.0f +- %.0f", terms, hits, n, n*p, tolerance)
		}
	}
}

func TestSleep(t *testing.T) {
	for _, terms := range []string{"sleep(30)", `sleep("30ms")`, "sleep(30ms)"} {
		enable(t, terms)
		start := time.Now()
		if _, ok := evalPoint.Eval(); ok || time.Since(start) < 30*time.Millisecond {
			t.Errorf("%s: %v, after %s", terms, ok, time.Since(start))
		}
	}
}

func TestPanic(t *testing.T) {
	for terms, want := range map[string]string{
		`panic`:        "failpoint panic: test/eval",
		`panic("msg")`: "failpoint panic: msg",
		`panic(5)`:     "failpoint panic: 5",
	} {
		enable(t, terms)
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("%s: got %v, expected %q", terms, got, want)
				}
			}()
			evalPoint.Eval()
		}()
	}
}

// TestHold: a panic waits for a holder, but not for ever.
func TestHold(t *testing.T) {
	enable(t, "panic")
	eval := func() (waited time.Duration) {
		start := time.Now()
		defer func() { waited = time.Since(start); recover() }()
		evalPoint.Eval()
		return 0
	}
	held := make(chan struct{})
	go Hold(func() {
		close(held)
		time.Sleep(100 * time.Millisecond)
	})
	<-held
	if d := eval(); d < 80*time.Millisecond || d > holdMax {
		t.Errorf("the panic came after %s, the holder was done after 100ms", d)
	}
	Hold(func() {
		if d := eval(); d < holdMax {
			t.Errorf("the panic came after %s in a holder, expected %s", d, holdMax)
		}
	})
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	flags, out := log.Flags(), log.Writer()
	log.SetFlags(0)
	log.SetOutput(&b)
	defer func() { log.SetOutput(out); log.SetFlags(flags) }()
	enable(t, `1*print->print("hello world")`)
	evalPoint.Eval()
	evalPoint.Eval()
	if want := "failpoint print: test/eval\nfailpoint print: test/eval: hello world\n"; b.String() != want {
		t.Errorf("got %q, expected %q", b.String(), want)
	}
}

func TestHook(t *testing.T) {
	enable(t, "1*return(1)")
	type key struct{}
	ctx := WithHook(context.Background(), func(ctx context.Context, name string) bool {
		return name == evalName && ctx.Value(key{}) != nil
	})
	if _, ok := evalPoint.EvalContext(ctx); ok {
		t.Error("the hook refused")
	}
	if _, count, _ := Status(evalName); count != 0 {
		t.Errorf("count %d of a refused evaluation", count)
	}
	if v, ok := evalPoint.EvalContext(context.WithValue(ctx, key{}, 1)); !ok || v.Any() != 1 {
		t.Errorf("the hook agreed: %v, %v", v.Any(), ok)
	}
	enable(t, "return(2)")
	if _, ok := evalPoint.EvalContext(context.Background()); !ok {
		t.Error("no hook")
	}
	var none context.Context // generated code of pingcap/failpoint may pass nil
	if _, ok := evalPoint.EvalContext(none); !ok {
		t.Error("no context")
	}
}

// waiters evaluates in n goroutines and returns how to wait for all of them.
func waiters(t *testing.T, n int, ctx context.Context) (wait func() bool) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, ok := evalPoint.EvalContext(ctx); ok {
				t.Error("ok after a pause")
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, count, _ := Status(evalName); count == n {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the evaluations do not start")
		}
	}
	return func() bool {
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-done:
			return true
		case <-time.After(10 * time.Second):
			return false
		}
	}
}

func TestWakeUp(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, terms := range []string{"pause", `sleep("600s")`} {
		for how, wake := range map[string]func(cancel func()) error{
			"disable":  func(func()) error { return Disable(evalName) },
			"replace":  func(func()) error { return Enable(evalName, "return(1)") },
			"context":  func(cancel func()) error { cancel(); return nil },
			"forbid":   func(func()) error { return Forbid() },
			"set list": func(func()) error { return Set(evalName + "=off") },
		} {
			enable(t, terms)
			ctx, cancel := context.WithCancel(context.Background())
			wait := waiters(t, 5, ctx)
			if err := wake(cancel); err != nil {
				t.Errorf("%s, %s: %v", terms, how, err)
			}
			if !wait() {
				t.Fatalf("%s: still there after %s", terms, how)
			}
			cancel()
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestPauseHoldsNobodyUp: with both peers, an evaluation behind a pause or a
// sleep waits for it.
func TestPauseHoldsNobodyUp(t *testing.T) {
	enable(t, "1*pause->return(1)")
	wait := waiters(t, 1, context.Background())
	if v, ok := evalPoint.Eval(); !ok || v.Any() != 1 {
		t.Errorf("beside a pause: %v, %v", v.Any(), ok)
	}
	if _, _, err := Status(evalName); err != nil {
		t.Error(err)
	}
	if err := Disable(evalName); err != nil || !wait() {
		t.Error(err)
	}
}

// TestCountsAreExact: many goroutines share counts, none is lost or done twice.
func TestCountsAreExact(t *testing.T) {
	const each, goroutines = 500, 8
	enable(t, "700*return(1)->1300*return(2)->1000*off")
	var sum [3]atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				v, _ := evalPoint.Eval()
				i, _ := v.Int()
				sum[i].Add(1)
			}
		})
	}
	wg.Wait()
	if sum[1].Load() != 700 || sum[2].Load() != 1300 || sum[0].Load() != 2000 {
		t.Errorf("got %d, %d, %d", sum[1].Load(), sum[2].Load(), sum[0].Load())
	}
	if _, count, _ := Status(evalName); count != 3000 {
		t.Errorf("count %d, expected 3000", count)
	}
}
