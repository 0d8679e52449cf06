package slogkey_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/slogkey"
)

var (
	logged  slogkey.Logger
	sourced slogkey.Logger
	bare    slogkey.Logger
)

func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

var ctx = context.Background()

// direct calls every method on the package-level variable, where it is inlined,
// and returns the lines of the calls.
func direct() (lines []int) {
	at := func(n int) { lines = append(lines, n) }
	at(line() + 1)
	sourced.Debug("m", "n", 1)
	at(line() + 1)
	sourced.DebugContext(ctx, "m", "n", 1)
	at(line() + 1)
	sourced.DebugAttrs(ctx, "m", slog.Int("n", 1))
	at(line() + 1)
	sourced.Info("m", "n", 1)
	at(line() + 1)
	sourced.InfoContext(ctx, "m", "n", 1)
	at(line() + 1)
	sourced.Warn("m", "n", 1)
	at(line() + 1)
	sourced.WarnContext(ctx, "m", "n", 1)
	at(line() + 1)
	sourced.Error("m", "n", 1)
	at(line() + 1)
	sourced.ErrorContext(ctx, "m", "n", 1)
	at(line() + 1)
	sourced.Log(ctx, -4, "m", "n", 1)
	at(line() + 1)
	sourced.LogAttrs(ctx, -4, "m", slog.Int("n", 1))
	at(line() + 1)
	sourced.With("n", 1).Debug("m")
	at(line() + 1)
	slog.New(sourced.Handler()).Debug("m", "n", 1)
	return lines
}

// method calls through a pointer and a method value, where nothing is inlined.
func method() (lines []int) {
	l := &sourced
	for _, f := range []func(string, ...any){l.Debug, l.Info, l.Warn, l.Error} {
		lines = append(lines, line()+1)
		f("m", "n", 1)
	}
	var i interface{ Debug(string, ...any) } = l
	lines = append(lines, line()+1)
	i.Debug("m", "n", 1)
	return lines
}

// TestSource: the record names the line of the call, inlined or not.
func TestSource(t *testing.T) {
	r := newRecorder(slog.LevelDebug)
	sourced.SetHandler(r)
	set(t, &sourced.LevelVar, slog.LevelDebug)
	for name, f := range map[string]func() []int{"direct": direct, "method": method} {
		*r.records = nil
		want := f()
		if len(*r.records) != len(want) {
			t.Fatalf("%d records of %d calls", len(*r.records), len(want))
		}
		for i, rec := range *r.records {
			src := rec.Source()
			if filepath.Base(src.File) != "logger_test.go" || src.Line != want[i] {
				t.Errorf("call %d of %s: source %s:%d, expected line %d", i, name, src.File, src.Line, want[i])
			}
		}
	}
}

// TestLoggerRecords: level, message and attributes arrive, by every method.
func TestLoggerRecords(t *testing.T) {
	var buf bytes.Buffer
	opts := slog.HandlerOptions{Level: slog.Level(-8), ReplaceAttr: noTime}
	logged.SetHandler(slog.NewTextHandler(&buf, &opts))
	for _, c := range []struct {
		want  string
		level slog.Level
		log   func()
	}{
		{"level=DEBUG msg=m n=1\n", -4, func() { logged.Debug("m", "n", 1) }},
		{"level=DEBUG msg=m n=1\n", -4, func() { logged.DebugContext(ctx, "m", "n", 1) }},
		{"level=DEBUG msg=m n=1\n", -4, func() { logged.DebugAttrs(ctx, "m", slog.Int("n", 1)) }},
		{"level=INFO msg=m n=1\n", 0, func() { logged.Info("m", "n", 1) }},
		{"level=INFO msg=m n=1\n", 0, func() { logged.InfoContext(ctx, "m", "n", 1) }},
		{"level=WARN msg=m n=1\n", 4, func() { logged.Warn("m", "n", 1) }},
		{"level=WARN msg=m n=1\n", 4, func() { logged.WarnContext(ctx, "m", "n", 1) }},
		{"level=ERROR msg=m n=1\n", 8, func() { logged.Error("m", "n", 1) }},
		{"level=ERROR msg=m n=1\n", 8, func() { logged.ErrorContext(ctx, "m", "n", 1) }},
		{"level=INFO+2 msg=m n=1\n", 2, func() { logged.Log(ctx, 2, "m", "n", 1) }},
		{"level=DEBUG-4 msg=m n=1\n", -8, func() { logged.LogAttrs(ctx, -8, "m", slog.Int("n", 1)) }},
		{"level=DEBUG msg=m n=1\n", -4, func() { logged.With("n", 1).Debug("m") }},
		{"level=DEBUG msg=m g.n=1\n", -4, func() { logged.WithGroup("g").Debug("m", "n", 1) }},
	} {
		for _, least := range []slog.Level{-12, c.level, c.level + 1, 12} {
			buf.Reset()
			set(t, &logged.LevelVar, least)
			c.log()
			want := c.want
			if c.level < least {
				want = ""
			}
			if buf.String() != want {
				t.Errorf("level %v at least %v: %q, expected %q", c.level, least, buf.String(), want)
			}
		}
	}
}

type ctxKey struct{}

// TestContext: the handler gets the caller's context, and never nil.
func TestContext(t *testing.T) {
	var got []any
	logged.SetHandler(ctxHandler{newRecorder(-8), &got})
	set(t, &logged.LevelVar, slog.LevelDebug)
	with := context.WithValue(ctx, ctxKey{}, "v")
	logged.DebugContext(with, "m")
	logged.DebugAttrs(with, "m")
	logged.Log(with, 0, "m")
	logged.LogAttrs(with, 0, "m")
	logged.InfoContext(none, "m")
	logged.Debug("m")
	if !slices.Equal(got, []any{"v", "v", "v", "v", nil, nil}) {
		t.Errorf("values %v", got)
	}
}

var none context.Context

type ctxHandler struct {
	recorder
	got *[]any
}

func (h ctxHandler) Handle(ctx context.Context, _ slog.Record) error {
	*h.got = append(*h.got, ctx.Value(ctxKey{}))
	return nil
}

// TestInnerDecides: what is on here and off in the handler is not shown.
func TestInnerDecides(t *testing.T) {
	r := newRecorder(slog.LevelInfo)
	logged.SetHandler(r)
	set(t, &logged.LevelVar, slog.LevelDebug)
	logged.Debug("no")
	logged.DebugAttrs(ctx, "no")
	logged.LogAttrs(ctx, -1, "no")
	logged.With("a", 1).Debug("no")
	logged.Info("yes")
	if len(*r.records) != 1 || (*r.records)[0].Message != "yes" {
		t.Errorf("records %v", *r.records)
	}
}

// TestZeroLogger: it logs to the default handler, whichever that is at the call.
func TestZeroLogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	first, second := newRecorder(-8), newRecorder(-8)
	slog.SetDefault(slog.New(first))
	bare.Info("a")
	bare.Debug("off")
	slog.SetDefault(slog.New(second))
	bare.Error("b")
	bare.SetHandler(first)
	bare.Warn("c")
	bare.SetHandler(nil)
	bare.Log(ctx, 1, "d")
	messages := func(r recorder) (out []string) {
		for _, rec := range *r.records {
			out = append(out, rec.Message)
		}
		return out
	}
	if a, b := messages(first), messages(second); !slices.Equal(a, []string{"a", "c"}) || !slices.Equal(b, []string{"b", "d"}) {
		t.Errorf("first %q, second %q", a, b)
	}
}

// TestNoAllocs: what is off allocates nothing, where the docs say so.
func TestNoAllocs(t *testing.T) {
	n, s := 1<<30, string(make([]byte, 100))
	for name, f := range map[string]func(){
		"guarded": func() {
			if sourced.DebugOn() {
				sourced.Debug("m", "n", n, "s", s)
			}
		},
		"plain":      func() { sourced.Debug("m") },
		"DebugAttrs": func() { sourced.DebugAttrs(ctx, "m", slog.Int("n", n), slog.String("s", s)) },
		"LogAttrs":   func() { sourced.LogAttrs(ctx, slog.LevelDebug, "m", slog.Int("n", n)) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
