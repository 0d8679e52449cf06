package slogkey_test

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/slogkey"
	"github.com/quietpatch/quietpatch/statickey"
)

var (
	one, two slogkey.LevelVar

	errOne = slogkey.Register(&one, "test.one", "the first")
	errTwo = slogkey.Register(&two, "test.two", "the second")
)

// set sets a level and puts Info back at the end.
func set(t testing.TB, v *slogkey.LevelVar, level slog.Level) {
	t.Helper()
	if err := v.SetLevel(level); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.SetLevel(slog.LevelInfo); err != nil {
			t.Error(err)
		}
	})
}

// checkOn compares every level, asked in every way, with the order of levels.
func checkOn(t *testing.T, v *slogkey.LevelVar, least slog.Level) {
	t.Helper()
	if v.Level() != least {
		t.Errorf("Level() = %v, expected %v", v.Level(), least)
	}
	for level := slog.Level(-14); level <= 14; level++ {
		if v.On(level) != (level >= least) {
			t.Errorf("least %v: On(%v) = %v", least, level, v.On(level))
		}
	}
	for _, c := range []struct {
		level slog.Level
		on    bool
	}{
		{slog.LevelDebug, v.DebugOn()},
		{slog.LevelInfo, v.InfoOn()},
		{slog.LevelWarn, v.WarnOn()},
		{slog.LevelError, v.ErrorOn()},
	} {
		if c.on != (c.level >= least) {
			t.Errorf("least %v: the check of %v says %v", least, c.level, c.on)
		}
	}
}

func TestLevels(t *testing.T) {
	onHeap := new(slogkey.LevelVar)
	var onStack slogkey.LevelVar
	for _, v := range []*slogkey.LevelVar{&one, onHeap, &onStack} {
		checkOn(t, v, slog.LevelInfo) // the zero value
		for level := slog.Level(-12); level <= 12; level++ {
			set(t, v, level)
			checkOn(t, v, level)
			set(t, v, -level) // and from everywhere else
			checkOn(t, v, -level)
		}
	}
}

// TestCopy: a copy of a LevelVar in use is refused and stays as it was.
func TestCopy(t *testing.T) {
	set(t, &one, slog.LevelDebug)
	dup := *same(&one)
	if err := dup.SetLevel(slog.LevelError); !errors.Is(err, statickey.ErrPlain) {
		t.Errorf("SetLevel of a copy: %v, expected ErrPlain", err)
	}
	checkOn(t, &dup, slog.LevelDebug)
	checkOn(t, &one, slog.LevelDebug)
}

// same hides the copy from go vet, which would rightly object.
func same(v *slogkey.LevelVar) *slogkey.LevelVar { return v }

func TestNames(t *testing.T) {
	if errOne != nil || errTwo != nil {
		t.Fatal(errOne, errTwo)
	}
	t.Cleanup(func() {
		if err := slogkey.SetLevels(map[string]slog.Level{"test.one": 0, "test.two": 0}); err != nil {
			t.Error(err)
		}
	})
	if err := slogkey.SetLevel("test.two", slog.LevelWarn); err != nil {
		t.Fatal(err)
	}
	checkOn(t, &one, slog.LevelInfo)
	checkOn(t, &two, slog.LevelWarn)
	err := slogkey.SetLevels(map[string]slog.Level{"test.one": slog.LevelDebug, "test.three": slog.LevelDebug})
	if !errors.Is(err, slogkey.ErrUnknown) || !strings.Contains(err.Error(), "test.three") || !strings.Contains(err.Error(), "test.one, ") {
		t.Errorf("an unknown name: %v", err)
	}
	checkOn(t, &one, slog.LevelInfo) // all or none
	want := map[string]slog.Level{"test.one": slog.LevelInfo, "test.two": slog.LevelWarn}
	got := slogkey.Levels()
	maps.DeleteFunc(got, func(name string, _ slog.Level) bool { return name != "test.one" && name != "test.two" })
	if !maps.Equal(got, want) {
		t.Errorf("Levels() = %v, expected %v", got, want)
	}
}

// TestKeyNames: the keys have the names that lists of keys show.
func TestKeyNames(t *testing.T) {
	got := map[string]string{}
	for _, k := range statickey.Keys() {
		got[k.Name] = k.Desc
	}
	for name, desc := range map[string]string{
		"test.one": "the first", "test.one.mute-info": "the first: no Info",
		"test.one.mute-warn": "the first: no Warn", "test.one.mute-error": "the first: no Error",
	} {
		if got[name] != desc {
			t.Errorf("key %s: description %q, expected %q", name, got[name], desc)
		}
	}
}

var refused, taken slogkey.LevelVar

var refusedRuns int // a name can be given once; -count runs tests again

func TestRegisterRefused(t *testing.T) {
	if refusedRuns++; refusedRuns > 1 {
		t.Skip("names can be given once")
	}
	for _, name := range []string{"", "no spaces", "test.one"} {
		if err := slogkey.Register(&refused, name, "x"); !errors.Is(err, statickey.ErrName) {
			t.Errorf("Register as %q: %v, expected ErrName", name, err)
		}
	}
	if err := slogkey.Register(&one, "test.again", "x"); !errors.Is(err, statickey.ErrName) {
		t.Errorf("a second name: %v, expected ErrName", err)
	}
	set(t, &refused, slog.LevelDebug)
	checkOn(t, &refused, slog.LevelDebug)

	var k statickey.Bool
	if err := statickey.Register(&k, "test.taken.mute-warn", "in the way"); err != nil {
		t.Fatal(err)
	}
	if err := slogkey.Register(&taken, "test.taken", "x"); !errors.Is(err, statickey.ErrName) {
		t.Errorf("a derived name that is taken: %v, expected ErrName", err)
	}
	if err := slogkey.SetLevel("test.taken", slog.LevelError); err != nil {
		t.Error(err)
	}
	checkOn(t, &taken, slog.LevelError)
	if _, known := slogkey.Levels()["test.again"]; known {
		t.Error("a refused name is listed")
	}
	if err := slogkey.SetLevel("test.taken", slog.LevelInfo); err != nil {
		t.Error(err)
	}
}

// TestOneBatch: several loggers and all their keys change in one batch, and a
// level that is in force already costs nothing.
func TestOneBatch(t *testing.T) {
	batches := func() uint64 { return quietpatch.Status().Counters.Batches }
	both := func(level slog.Level) uint64 {
		before := batches()
		if err := slogkey.SetLevels(map[string]slog.Level{"test.one": level, "test.two": level}); err != nil {
			t.Fatal(err)
		}
		return batches() - before
	}
	if n := both(slog.LevelError + 1); n != 1 {
		t.Errorf("six keys of two loggers: %d batches", n)
	}
	if n := both(slog.LevelError + 1); n != 0 {
		t.Errorf("nothing to change: %d batches", n)
	}
	if n := both(slog.LevelDebug); n != 1 {
		t.Errorf("eight keys of two loggers: %d batches", n)
	}
	if n := both(slog.LevelInfo); n != 1 {
		t.Errorf("two keys of two loggers: %d batches", n)
	}
}

// checkTwo checks the variable itself, so that there are sites to patch.
func checkTwo(t *testing.T, least slog.Level) {
	t.Helper()
	got := [...]bool{two.DebugOn(), two.InfoOn(), two.WarnOn(), two.ErrorOn(), two.On(slog.LevelInfo)}
	want := [...]bool{least <= -4, least <= 0, least <= 4, least <= 8, least <= 0}
	if got != want {
		t.Errorf("least %v: checks of Debug, Info, Warn, Error, Info: %v", least, got)
	}
}

// TestConcurrent: whoever sets levels at the same time, the keys are those of
// one call, and after a call returns its level is in force for its caller.
func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	var mine sync.Mutex // one setter at a time looks at what it set
	for i := range 4 {
		wg.Go(func() {
			for n := range 100 {
				level := slog.Level((i*7+n*5)%25 - 12)
				if i%2 == 0 {
					if err := one.SetLevel(level); err != nil {
						t.Error(err)
					}
					continue
				}
				mine.Lock()
				if err := slogkey.SetLevels(map[string]slog.Level{"test.two": level, "test.one": level}); err != nil {
					t.Error(err)
				}
				checkOn(t, &two, level)
				checkTwo(t, level)
				mine.Unlock()
			}
		})
	}
	wg.Wait()
	checkOn(t, &one, one.Level()) // keys and least belong together
	set(t, &one, slog.LevelInfo)
	set(t, &two, slog.LevelInfo)
}

// TestTogether: keys and least are those of one call, also after calls that
// overlapped. Without sites the calls are short, so that there can be many.
func TestTogether(t *testing.T) {
	rounds := 60_000
	if testing.Short() {
		rounds = 1000
	}
	v := new(slogkey.LevelVar)
	for range rounds {
		var wg sync.WaitGroup
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError + 1, slog.LevelInfo} {
			wg.Go(func() {
				if err := v.SetLevel(level); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		least := v.Level()
		if v.DebugOn() != (least <= slog.LevelDebug) || v.InfoOn() != (least <= slog.LevelInfo) || v.ErrorOn() != (least <= slog.LevelError) {
			t.Fatalf("level %v; checks of Debug, Info, Error: %v %v %v", least, v.DebugOn(), v.InfoOn(), v.ErrorOn())
		}
	}
}

var texted slogkey.LevelVar

func TestText(t *testing.T) {
	if err := texted.UnmarshalText([]byte("warn+1")); err != nil {
		t.Fatal(err)
	}
	checkOn(t, &texted, slog.LevelWarn+1)
	if text, err := texted.MarshalText(); err != nil || string(text) != "WARN+1" {
		t.Errorf("MarshalText: %s, %v", text, err)
	}
	if err := texted.UnmarshalText([]byte("loud")); err == nil {
		t.Error("UnmarshalText of a wrong text: no error")
	}
	checkOn(t, &texted, slog.LevelWarn+1)
	set(t, &texted, slog.LevelInfo)
}

// TestLeveler: it can be the level of another handler, too.
func TestLeveler(t *testing.T) {
	h := slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: &one})
	if h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("Debug is on")
	}
	set(t, &one, slog.LevelDebug)
	if !h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("Debug is off")
	}
}

// TestOwned: whoever chooses keys by pattern does not turn levels off that nobody named, and a level is
// changed by this package alone.
func TestOwned(t *testing.T) {
	set(t, &one, slog.LevelWarn)
	for _, value := range []string{"on", "off"} {
		if n, err := statickey.SetMatching("test.one*", value); n != 0 || err != nil {
			t.Errorf("%s: %d keys were chosen, %v", value, n, err)
		}
		checkOn(t, &one, slog.LevelWarn)
		for _, name := range []string{"test.one", "test.one.mute-error"} {
			_, err := statickey.SetMatching(name, value)
			if !errors.Is(err, statickey.ErrOwned) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "slogkey.SetLevel") {
				t.Errorf("%s %s: got %v, expected ErrOwned and what to use", name, value, err)
			}
		}
		checkOn(t, &one, slog.LevelWarn)
	}
	if found, err := statickey.Match("test.one*"); len(found) != 4 || err != nil {
		t.Errorf("%d keys are listed, %v; expected 4", len(found), err)
	}
}
