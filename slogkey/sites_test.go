package slogkey

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"testing"
	"unsafe"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// siteLog is checked in the functions below and nowhere else.
var siteLog Logger

//go:noinline
func siteDebugOn(n *int) {
	if siteLog.DebugOn() {
		*n++
	}
}

//go:noinline
func siteOnDebug(n *int) {
	if siteLog.On(slog.LevelDebug) {
		*n++
	}
}

//go:noinline
func siteDebug() { siteLog.Debug("m") }

//go:noinline
func siteDebugContext(ctx context.Context) { siteLog.DebugContext(ctx, "m") }

//go:noinline
func siteDebugAttrs(ctx context.Context) { siteLog.DebugAttrs(ctx, "m", slog.Int("n", 1)) }

//go:noinline
func siteInfo() {
	if siteLog.InfoOn() || siteLog.On(slog.LevelInfo) {
		siteLog.Info("m")
	}
}

//go:noinline
func siteWarn() {
	if siteLog.WarnOn() || siteLog.On(slog.LevelWarn) {
		siteLog.Warn("m")
	}
}

//go:noinline
func siteError() {
	if siteLog.ErrorOn() || siteLog.On(slog.LevelError) {
		siteLog.Error("m")
	}
}

func useAll(n *int) {
	siteDebugOn(n)
	siteOnDebug(n)
	siteDebug()
	siteDebugContext(context.Background())
	siteDebugAttrs(context.Background())
	siteInfo()
	siteWarn()
	siteError()
}

// TestSites: the checks are in the callers, are armed, and are no others.
func TestSites(t *testing.T) {
	if err := quietpatch.Arm(); err != nil {
		if len(quietpatch.Backends()) > 0 && os.Getenv("QUIETPATCH_BACKEND") != "none" {
			t.Fatal(err)
		}
		t.Skip("needs live text: ", err)
	}
	if testing.CoverMode() != "" {
		t.Skip("needs a build without -cover of this package: the counters may keep checks from being inlined")
	}
	siteLog.SetHandler(slog.DiscardHandler)
	n := 0
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError + 1, slog.LevelInfo} {
		if err := siteLog.SetLevel(level); err != nil {
			t.Fatal(err)
		}
		n = 0
		useAll(&n)
		if want := 2; (level == slog.LevelDebug) != (n == want) {
			t.Errorf("level %v: %d of 2 checks of Debug are on", level, n)
		}
	}
	for _, c := range []struct {
		key   *statickey.Bool
		funcs []any
	}{
		{&siteLog.debug, []any{siteDebugOn, siteOnDebug, siteDebug, siteDebugContext, siteDebugAttrs}},
		{&siteLog.muteInfo, []any{siteInfo}},
		{&siteLog.muteWarn, []any{siteWarn}},
		{&siteLog.muteError, []any{siteError}},
	} {
		checkSites(t, c.key, c.funcs)
	}
}

// checkSites compares by address: the functions that were inlined have frames of
// their own, and names.
func checkSites(t *testing.T, k *statickey.Bool, funcs []any) {
	t.Helper()
	sites, err := k.Sites()
	if err != nil {
		t.Error(err)
	}
	in := map[uintptr]int{}
	for _, s := range sites {
		entry := runtime.FuncForPC(uintptr(s.Addr)).Entry()
		if in[entry]++; s.State != "armed" {
			t.Errorf("site %+v, expected an armed one", s)
		}
	}
	for _, f := range funcs {
		entry := reflect.ValueOf(f).Pointer()
		if in[entry] == 0 {
			t.Errorf("no site in %s", runtime.FuncForPC(entry).Name())
		}
		delete(in, entry)
	}
	for entry := range in {
		t.Errorf("a site in %s, which has no check", runtime.FuncForPC(entry).Name())
	}
}

// TestAddress: what Register is given is the address of the key of Debug, by
// which a tool can tell that key from the call.
func TestAddress(t *testing.T) {
	var l Logger
	if p := unsafe.Pointer(&l); p != unsafe.Pointer(&l.LevelVar) || p != unsafe.Pointer(&l.debug) {
		t.Error("LevelVar and its debug must come first")
	}
}
