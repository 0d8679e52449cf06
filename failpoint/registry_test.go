package failpoint

import (
	"bytes"
	"errors"
	"log"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

var pool [24]Point

// world is a registry with an environment of its own. Names of keys are unique
// in the process, so names get the test's.
type world struct {
	registry
	t      *testing.T
	points map[string]*Point
	log    bytes.Buffer
}

func newWorld(t *testing.T, env map[string]string) *world {
	w := &world{t: t, points: map[string]*Point{}}
	w.getenv = func(name string) string { return strings.ReplaceAll(env[name], "~", w.name("")) }
	out := log.Writer()
	log.SetOutput(&w.log)
	t.Cleanup(func() {
		log.SetOutput(out)
		if err := w.forbid(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) name(name string) string {
	return strings.ReplaceAll(w.t.Name(), "/", "-") + "/" + name
}

var poolUsed int

// add registers a point of the pool.
func (w *world) add(name string) (*Point, error) {
	p := &pool[poolUsed]
	poolUsed++
	w.points[name] = p
	return p, w.register(p, w.name(name), "of registry_test.go")
}

// on says which points return what.
func (w *world) on() map[string]any {
	got := map[string]any{}
	for name, p := range w.points {
		if v, ok := p.Eval(); ok {
			got[name] = v.Any()
		}
		if p.on.Enabled() != (p.active.Load() != nil) {
			w.t.Errorf("%s: key %v, terms %v", name, p.on.Enabled(), p.active.Load())
		}
	}
	return got
}

func (w *world) expect(want map[string]any) {
	w.t.Helper()
	if got := w.on(); !maps.Equal(got, want) {
		w.t.Errorf("on: got %v, expected %v", got, want)
	}
}

type is = map[string]any

func TestForbidden(t *testing.T) {
	w := newWorld(t, nil)
	w.add("a")
	list := w.name("a") + "=return(1)"
	for _, err := range []error{w.enable(w.name("a"), "return(1)"), w.setList(list), w.setList("")} {
		if !errors.Is(err, ErrForbidden) {
			t.Errorf("got %v, expected ErrForbidden", err)
		}
	}
	w.expect(is{})
	if err := w.allow(); err != nil {
		t.Fatal(err)
	}
	if err := w.setList(list); err != nil {
		t.Fatal(err)
	}
	w.expect(is{"a": 1})
	if err := w.forbid(); err != nil {
		t.Fatal(err)
	}
	w.expect(is{})
	if err := w.setList(list); !errors.Is(err, ErrForbidden) {
		t.Errorf("after Forbid: %v", err)
	}
}

func TestSetIsAllOrNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.add("a")
	w.add("b")
	w.add("c")
	if err := errors.Join(w.allow(), w.enable(w.name("a"), "1*return(0)->return(1)")); err != nil {
		t.Fatal(err)
	}
	w.expect(is{"a": 0})
	a, b, c := w.name("a"), w.name("b"), w.name("c")
	var syntax *SyntaxError
	if err := w.setList(a + "=return(2);" + b + "=return(2);" + c + "=retrun(2)"); !errors.As(err, &syntax) {
		t.Errorf("got %v, expected a syntax error", err)
	}
	if err := w.setList(a + "=return(2);" + b + "=return(2);nosuch=off"); !errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Errorf("got %v, expected ErrNotExist and the name", err)
	}
	if err := w.enable(a, "off("); !errors.As(err, &syntax) || !strings.Contains(err.Error(), a) {
		t.Errorf("got %v, expected a syntax error and the name", err)
	}
	if err := w.enable("nosuch", "off"); !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v, expected ErrNotExist", err)
	}
	// a has its old terms, and what was left of them.
	w.expect(is{"a": 1})

	batches := quietpatch.Status().Counters.Batches
	if err := w.setList(b + "=return(3);" + a + "=return(2);" + c + "=off;" + b + "=return(4)"); err != nil {
		t.Fatal(err)
	}
	if n := quietpatch.Status().Counters.Batches - batches; n != 1 {
		t.Errorf("%d batches for one Set", n)
	}
	w.expect(is{"a": 2, "b": 4})
	if got := w.list(); !slices.Equal(got, []string{a, b, c}) {
		t.Errorf("List: %q", got)
	}
	if terms, count, err := w.status(b); terms != "return(4)" || count != 1 || err != nil {
		t.Errorf("Status: %q, %d, %v", terms, count, err)
	}
	batches = quietpatch.Status().Counters.Batches
	if err := w.forbid(); err != nil {
		t.Fatal(err)
	}
	if n := quietpatch.Status().Counters.Batches - batches; n != 1 {
		t.Errorf("%d batches for one Forbid", n)
	}
}

func TestDisable(t *testing.T) {
	w := newWorld(t, nil)
	w.add("a")
	a := w.name("a")
	if err := errors.Join(w.allow(), w.enable(a, "return")); err != nil {
		t.Fatal(err)
	}
	if err := w.disable(a); err != nil {
		t.Fatal(err)
	}
	w.expect(is{})
	_, _, status := w.status(a)
	for _, err := range []error{w.disable(a), status} {
		if !errors.Is(err, ErrDisabled) || !strings.Contains(err.Error(), a) {
			t.Errorf("got %v, expected ErrDisabled and the name", err)
		}
	}
	_, _, status = w.status("nosuch")
	for _, err := range []error{w.disable("nosuch"), status} {
		if !errors.Is(err, ErrNotExist) {
			t.Errorf("got %v, expected ErrNotExist", err)
		}
	}
}

func TestRegister(t *testing.T) {
	w := newWorld(t, nil)
	p, err := w.add("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.register(p, w.name("again"), ""); err == nil {
		t.Error("a point was registered twice")
	}
	if _, err := w.add("a"); !errors.Is(err, statickey.ErrName) {
		t.Errorf("a name that is taken: %v", err)
	}
	for _, name := range []string{"failpoints", "FailPoints", "a/count", "", "a b", "a=b", "a;b"} {
		if err := w.register(&pool[len(pool)-1], name, ""); err == nil {
			t.Errorf("the name %q was registered", name)
		}
	}
	if got := w.list(); !slices.Equal(got, []string{w.name("a")}) {
		t.Errorf("List: %q", got)
	}
	var heap Point
	if err := w.register(&heap, w.name("local"), ""); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.allow(), w.enable(w.name("local"), "return(1)")); err != nil {
		t.Fatal(err)
	}
	if v, ok := heap.Eval(); !ok || v.Any() != 1 {
		t.Errorf("a local point: %v, %v", v, ok)
	}
	if _, ok := new(Point).Eval(); ok {
		t.Error("the zero Point is on")
	}
}

func TestEnvironment(t *testing.T) {
	const ours, gofail, pingcap = EnvVar, "GOFAIL_FAILPOINTS", "GO_FAILPOINTS"
	for name, tt := range map[string]struct {
		env     map[string]string
		want    is  // at once
		allowed is  // after Allow
		err     any // error or text in it, of EnvErr before Allow
		logged  bool
	}{
		"nothing":      {nil, is{}, is{}, nil, false},
		"list":         {map[string]string{ours: "~a=return(1);;~b=return(2)"}, is{"a": 1, "b": 2}, is{"a": 1, "b": 2}, nil, false},
		"peers":        {map[string]string{gofail: "~a=return(1)", pingcap: "~b=return(2)"}, is{}, is{"a": 1, "b": 2}, ErrForbidden, false},
		"word":         {map[string]string{ours: "allow", gofail: "~a=return(1)"}, is{"a": 1}, is{"a": 1}, nil, false},
		"order":        {map[string]string{ours: "~a=return(3)", gofail: "~a=return(1)", pingcap: "~a=return(2);~b=off"}, is{"a": 3}, is{"a": 3}, nil, false},
		"mistake":      {map[string]string{ours: "~a=return(1);~b=retrun"}, is{}, is{}, "expected off, return", true},
		"no":           {map[string]string{ours: "0", gofail: "~a=return(1)"}, is{}, is{"a": 1}, `"allow" or a list`, true},
		"empty list":   {map[string]string{ours: ";", gofail: "~a=return(1)"}, is{}, is{"a": 1}, ErrForbidden, false},
		"unknown name": {map[string]string{ours: "~a=return(1);~c=off"}, is{"a": 1}, is{"a": 1}, ErrNotExist, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.env)
			for _, name := range []string{"a", "b"} {
				if _, err := w.reuse(name); err != nil {
					t.Fatal(err)
				}
			}
			w.expect(tt.want)
			err := w.envErr()
			switch want := tt.err.(type) {
			case nil:
				if err != nil {
					t.Error(err)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("got %v, expected %v", err, want)
				}
			case string:
				if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), EnvVar) {
					t.Errorf("got %v, expected %q", err, want)
				}
			}
			if logged := w.log.Len() > 0; logged != tt.logged {
				t.Errorf("log: %q", w.log.String())
			}
			if err := w.allow(); err != nil {
				t.Error(err)
			}
			w.expect(tt.allowed)
		})
	}
}

func TestForbidForgetsTheEnvironment(t *testing.T) {
	w := newWorld(t, map[string]string{EnvVar: "~a=return(1);~b=return(2)"})
	if _, err := w.reuse("a"); err != nil {
		t.Fatal(err)
	}
	w.expect(is{"a": 1})
	if err := w.forbid(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.reuse("b"); err != nil {
		t.Fatal(err)
	}
	if err := w.allow(); err != nil {
		t.Fatal(err)
	}
	w.expect(is{})
	if err := w.envErr(); err != nil {
		t.Error(err)
	}
}

// reuse registers a point that has a key's name already.
func (w *world) reuse(name string) (*Point, error) {
	saved := registerKey
	registerKey = func(*statickey.Bool, string, string) error { return nil }
	defer func() { registerKey = saved }()
	p := &pool[len(pool)-2+len(w.points)]
	w.points[name] = p
	return p, w.register(p, w.name(name), "")
}

// TestEnvironmentOfAProcess looks at the real thing: a point is on before main.
func TestEnvironmentOfAProcess(t *testing.T) {
	if os.Getenv("FAILPOINT_TEST_CHILD") != "" {
		v, ok := evalPoint.Eval()
		t.Logf("child: %v %v %v", v.Any(), ok, Allowed())
		return
	}
	for env, want := range map[string]string{
		EnvVar + "=" + evalName + "=return(42)":          "child: 42 true true",
		"GOFAIL_FAILPOINTS=" + evalName + "=return(42)":  "child: <nil> false false",
		EnvVar + "=" + evalName + "=return(42);x=retrun": "child: <nil> false false",
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEnvironmentOfAProcess$", "-test.v")
		cmd.Env = append(os.Environ(), "FAILPOINT_TEST_CHILD=1", env)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, expected %q in\n%s", env, err, want, out)
		}
	}
}

// TestFailedFlip: a batch with a copied key fails, which is the one way here to
// make one fail, and no point of the list is changed.
func TestFailedFlip(t *testing.T) {
	w := newWorld(t, nil)
	w.add("a")
	b, _ := w.add("b")
	if err := errors.Join(w.allow(), w.enable(w.name("b"), "return(1)")); err != nil {
		t.Fatal(err)
	}
	var broken Point
	reflect.ValueOf(&broken).Elem().Set(reflect.ValueOf(b).Elem())
	w.registry.points[w.name("b")] = &broken
	err := w.setList(w.name("a") + "=return(2);" + w.name("b") + "=return(2)")
	if err == nil || !strings.Contains(err.Error(), "nothing was turned on") {
		t.Errorf("got %v", err)
	}
	w.registry.points[w.name("b")] = b
	w.expect(is{"b": 1})
}

// TestOwned: whoever chooses keys by pattern turns no point on or off.
func TestOwned(t *testing.T) {
	w := newWorld(t, nil)
	w.add("a")
	w.add("b")
	if err := errors.Join(w.allow(), w.enable(w.name("a"), "return(1)")); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"on", "off"} {
		if n, err := statickey.SetMatching(t.Name()+".*", value); n != 0 || err != nil {
			t.Errorf("%s: %d keys were chosen, %v", value, n, err)
		}
		_, err := statickey.SetMatching(t.Name()+".a", value)
		if !errors.Is(err, statickey.ErrOwned) || !strings.Contains(err.Error(), "failpoint.Set") {
			t.Errorf("%s: got %v, expected ErrOwned and what to use", value, err)
		}
		w.expect(is{"a": 1})
		if w.points["b"].on.Enabled() {
			t.Error("the key of a point that is off is on")
		}
	}
}
