package slogkey_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/slogkey"
	"github.com/quietpatch/quietpatch/statickey"
)

// Debug calls in four ways, off and on. The arguments are a number and a string
// that have to be boxed, as most have.
var (
	benchKey   statickey.Bool
	benchLog   slogkey.Logger
	benchVar   slog.LevelVar
	benchPlain *slog.Logger // slog's own way
	benchOurs  *slog.Logger // the same behind our Handler
	benchSink  int
	benchStr   = "some text that is not a constant"
)

type benchStep struct {
	name string
	run  func(n int)
}

// The steps are loops, so that nothing but the call is measured. They are not
// inlined, so that the compiler knows nothing of their caller.

// benchChecks cost tenths of a nanosecond: those with a name in 8 make eight
// checks for each turn of the loop.
var benchChecks = []benchStep{{"loop", benchLoop}, {"key-8", benchBare}, {"DebugOn-8", benchDebugOn}, {"Logger-8", benchLogger}}

var benchCalls = []benchStep{
	{"DebugOn-args", benchDebugOnArgs},
	{"Logger-args", benchLoggerArgs},
	{"Logger-attrs", benchLoggerAttrs},
	{"Handler", benchHandler},
	{"Handler-args", benchHandlerArgs},
	{"slog", benchSlog},
	{"slog-args", benchSlogArgs},
	{"slog-attrs", benchSlogAttrs},
	{"slog-Enabled-args", benchSlogEnabled},
}

//go:noinline
func benchLoop(n int) {
	for i := range n {
		benchSink += i
	}
}

//go:noinline
func benchBare(n int) {
	for i := range n / 8 {
		benchSink += i
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
		if benchKey.Enabled() {
			benchPlain.Debug("m")
		}
	}
}

//go:noinline
func benchDebugOn(n int) {
	for i := range n / 8 {
		benchSink += i
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
		if benchLog.DebugOn() {
			benchPlain.Debug("m")
		}
	}
}

//go:noinline
func benchDebugOnArgs(n int) {
	for i := range n {
		benchSink += i
		if benchLog.DebugOn() {
			benchLog.Debug("m", "i", i, "s", benchStr)
		}
	}
}

//go:noinline
func benchLogger(n int) {
	for i := range n / 8 {
		benchSink += i
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
		benchLog.Debug("m")
	}
}

//go:noinline
func benchLoggerArgs(n int) {
	for i := range n {
		benchSink += i
		benchLog.Debug("m", "i", i, "s", benchStr)
	}
}

//go:noinline
func benchLoggerAttrs(n int) {
	for i := range n {
		benchSink += i
		benchLog.DebugAttrs(context.Background(), "m", slog.Int("i", i), slog.String("s", benchStr))
	}
}

//go:noinline
func benchHandler(n int) {
	for i := range n {
		benchSink += i
		benchOurs.Debug("m")
	}
}

//go:noinline
func benchHandlerArgs(n int) {
	for i := range n {
		benchSink += i
		benchOurs.Debug("m", "i", i, "s", benchStr)
	}
}

//go:noinline
func benchSlog(n int) {
	for i := range n {
		benchSink += i
		benchPlain.Debug("m")
	}
}

//go:noinline
func benchSlogArgs(n int) {
	for i := range n {
		benchSink += i
		benchPlain.Debug("m", "i", i, "s", benchStr)
	}
}

//go:noinline
func benchSlogAttrs(n int) {
	for i := range n {
		benchSink += i
		benchPlain.LogAttrs(context.Background(), slog.LevelDebug, "m", slog.Int("i", i), slog.String("s", benchStr))
	}
}

//go:noinline
func benchSlogEnabled(n int) {
	for i := range n {
		benchSink += i
		if benchPlain.Enabled(context.Background(), slog.LevelDebug) {
			benchPlain.Debug("m", "i", i, "s", benchStr)
		}
	}
}

// benchLevel arms all checks and sets the level of each way.
func benchLevel(b *testing.B, level slog.Level) {
	b.Helper()
	inner := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
	benchPlain = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: &benchVar}))
	benchOurs = slog.New(slogkey.NewHandler(inner, &benchLog.LevelVar))
	benchLog.SetHandler(inner)
	if err := quietpatch.Arm(); err != nil {
		b.Log("keys are read from memory: ", err)
	}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, level} {
		benchVar.Set(level)
		set(b, &benchLog.LevelVar, level)
		if err := benchKey.Set(level == slog.LevelDebug); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmark(b *testing.B, steps []benchStep) {
	for _, s := range steps {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			s.run(b.N)
		})
	}
}

// BenchmarkOff is what a Debug call costs that shows nothing.
func BenchmarkOff(b *testing.B) {
	benchLevel(b, slog.LevelInfo)
	benchmark(b, benchChecks)
	benchmark(b, benchCalls)
}

// BenchmarkOn is what the keys add to a call that formats a record.
func BenchmarkOn(b *testing.B) {
	benchLevel(b, slog.LevelDebug)
	benchmark(b, benchCalls)
}
