//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unsafe"
)

func TestNotArmable(t *testing.T) {
	w := newWorld(t, "store")
	w.f.failReady = errInjected
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if w.alpha.armed != 0 || !strings.Contains(w.Status().Reason, "injected") || w.Status().Mode != ModeMemory {
		t.Errorf("armed %d, status %+v", w.alpha.armed, w.Status())
	}
	w.shows(1, 0)
	w.f.heal()
	if err := w.set(w.alpha, 0); err != nil { // tried again by itself
		t.Fatal(err)
	}
	if w.alpha.armed != len(w.alpha.sites) || w.Status().Mode != ModeLive {
		t.Errorf("armed %d, status %+v", w.alpha.armed, w.Status())
	}
	w.shows(0, 0)
	w.f.failReady = errInjected
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeLive || s.Reason != "" || !strings.Contains(s.NotArmed, "injected") {
		t.Errorf("alpha is live and beta was put off: status %+v", s)
	}
	if err := w.set(w.beta, 0); err == nil {
		w.f.heal()
	}
	w.f.failPrepare = errInjected
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if w.beta.armed != 0 || !strings.Contains(w.whys(w.beta), "injected") {
		t.Errorf("states: %s", w.whys(w.beta))
	}
	w.shows(0, 1)
}

func TestStatusAfterRepair(t *testing.T) {
	w := newWorld(t, "store")
	w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth > 2) }
	w.f.failRescue = errInjected
	if err := w.Arm(); err == nil || w.stuck == nil {
		t.Fatalf("error %v", err)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "could not be put back") {
		t.Errorf("status %+v", s)
	}
	w.f.heal()
	if err := w.set(w.alpha, 0); err != nil { // the value it has
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeLive || s.NotArmed != "" {
		t.Errorf("status %+v", s)
	}
	w.armed()
	w.shows(0, 0)
}

func TestSearchFails(t *testing.T) {
	w := newWorld(t, "store")
	open := w.openImg
	var img *deafImage
	w.openImg = func() (image, error) {
		i, err := open()
		img = &deafImage{image: i, err: errInjected}
		return img, err
	}
	w.openM = func(_ image, o Options, ours func(uintptr, byte) bool) (machine, error) {
		m, err := openMachine(img.image, o, ours)
		w.f.machine = m
		return w.f, err
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "injected") || w.alpha.searched {
		t.Errorf("searched %v, status %+v", w.alpha.searched, s)
	}
	img.err = nil
	w.armed()
	w.shows(1, 0)
}

type deafImage struct {
	image
	err error
}

func (d *deafImage) Read() error {
	if d.err != nil {
		return d.err
	}
	return d.image.Read()
}

func TestNames(t *testing.T) {
	e := newEngine()
	key := func() *Key { b := new(bool); return NewKey(unsafe.Pointer(b), 1, boolCell{b}) }
	k := key()
	if err := e.Register(k, "net.trace-sends_2", "x"); err != nil {
		t.Error(err)
	}
	if err := e.Register(k, "other", "x"); !errors.Is(err, ErrName) {
		t.Errorf("second name: %v", err)
	}
	for _, name := range []string{"", "net.trace-sends_2", "a b", "a=b", "a*", "ä", "a,b"} {
		if err := e.Register(key(), name, "y"); !errors.Is(err, ErrName) {
			t.Errorf("Register(%q) = %v, expected ErrName", name, err)
		}
	}
	if n := len(e.Status().Problems); n != 8 {
		t.Errorf("%d problems kept, expected 8: %q", n, e.Status().Problems)
	}
}

func TestHeapKey(t *testing.T) {
	w := newWorld(t, "store")
	b := new(bool)
	k := NewKey(unsafe.Pointer(b), 1, boolCell{b})
	if err := w.set(k, 1); err != nil || !*b {
		t.Errorf("set: %v, value %v", err, *b)
	}
	if _, err := w.Sites(k); !errors.Is(err, ErrPlain) {
		t.Errorf("Sites: %v, expected ErrPlain", err)
	}
	if p := w.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "heap") {
		t.Errorf("problems %q", p)
	}
}

func TestConfigure(t *testing.T) {
	if os.Getenv("ENGINE_TEST_BACKEND") != "procmem" {
		t.Skip("runs in a process of its own: TestOtherBackend")
	}
	w := newWorld(t, "store").armed()
	for _, o := range []Options{{Strategy: "fast"}, {Backend: "magic"}} {
		if err := w.Configure(o); err == nil {
			t.Errorf("Configure(%+v) accepted", o)
		}
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Configure(Options{Backend: "alias", Strategy: "int3"}); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
	if err := w.set(w.alpha, 0); err != nil {
		t.Fatal(err)
	}
	w.shows(0, 0)
	if s := w.Status(); s.Backend != "alias" || s.Strategy != "int3" || w.alpha.armed != len(w.alpha.sites) {
		t.Errorf("status %+v", s)
	}
	if err := w.Configure(Options{Backend: "procmem"}); !errors.Is(err, ErrBackendChange) {
		t.Errorf("alias to procmem: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv(envStrategy, "one-at-a-time")
	t.Setenv(envBackend, "nonsense")
	t.Setenv(envTracer, "maybe")
	o, problems := Options{}.withEnv()
	if o.Strategy != "one-at-a-time" || o.Backend != "" || o.AllowTracer || len(problems) != 2 {
		t.Errorf("options %+v, problems %q", o, problems)
	}
	if o, _ := (Options{Strategy: "int3"}).withEnv(); o.Strategy != "int3" {
		t.Errorf("the environment overruled the option: %+v", o)
	}
}
