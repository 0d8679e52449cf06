package slogkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/quietpatch/quietpatch/slogkey"
)

var handled slogkey.LevelVar

// TestSlogtest: over handlers that keep slog's rules the wrapper keeps them.
func TestSlogtest(t *testing.T) {
	var buf bytes.Buffer
	for _, c := range []struct {
		name  string
		inner func() slog.Handler
		parse func(string) (map[string]any, error)
	}{
		{"json", func() slog.Handler { return slog.NewJSONHandler(&buf, nil) }, parseJSON},
		{"text", func() slog.Handler { return slog.NewTextHandler(&buf, nil) }, parseText},
	} {
		t.Run(c.name, func(t *testing.T) {
			slogtest.Run(t, func(*testing.T) slog.Handler {
				buf.Reset()
				return slogkey.NewHandler(c.inner(), &handled)
			}, func(t *testing.T) map[string]any {
				m, err := c.parse(buf.String())
				if err != nil {
					t.Fatal(err)
				}
				return m
			})
		})
	}
}

func parseJSON(line string) (m map[string]any, err error) {
	return m, json.Unmarshal([]byte(line), &m)
}

// parseText reads a line of slog.TextHandler whose values have no spaces.
func parseText(line string) (map[string]any, error) {
	top := map[string]any{}
	for _, field := range strings.Fields(line) {
		path, value, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("no key=value: %q in %q", field, line)
		}
		m, names := top, strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			if m[name] == nil {
				m[name] = map[string]any{}
			}
			m = m[name].(map[string]any)
		}
		m[names[len(names)-1]] = value
	}
	return top, nil
}

// recorder is a handler that keeps what it gets and how it was asked.
type recorder struct {
	least   slog.Level
	asked   *[]slog.Level
	records *[]slog.Record
}

func newRecorder(least slog.Level) recorder {
	return recorder{least, new([]slog.Level), new([]slog.Record)}
}

func (r recorder) Enabled(ctx context.Context, level slog.Level) bool {
	if ctx == nil {
		return false
	}
	*r.asked = append(*r.asked, level)
	return level >= r.least
}

func (r recorder) Handle(_ context.Context, rec slog.Record) error {
	*r.records = append(*r.records, rec)
	return io.ErrShortWrite
}

func (r recorder) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r recorder) WithGroup(string) slog.Handler      { return r }

// TestHandlerEnabled: a record passes when both agree, and the inner handler is
// not asked about what is off.
func TestHandlerEnabled(t *testing.T) {
	for _, own := range []slog.Level{-8, slog.LevelDebug, slog.LevelInfo, 2, slog.LevelError, 12} {
		for _, inners := range []slog.Level{-8, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, 12} {
			set(t, &handled, own)
			inner := newRecorder(inners)
			root := slogkey.NewHandler(inner, &handled)
			for _, h := range []slog.Handler{root, root.WithAttrs([]slog.Attr{slog.Int("a", 1)}), root.WithGroup("g")} {
				for level := slog.Level(-12); level <= 12; level++ {
					*inner.asked = nil
					if got := h.Enabled(t.Context(), level); got != (level >= own && level >= inners) {
						t.Errorf("own %v, inner %v: Enabled(%v) = %v", own, inners, level, got)
					}
					if slices.Contains(*inner.asked, level) != (level >= own) {
						t.Errorf("own %v: inner was asked about %v", own, *inner.asked)
					}
				}
			}
		}
	}
}

// TestHandlerLive: loggers that were made before a change follow it, whatever
// was added to them.
func TestHandlerLive(t *testing.T) {
	var buf bytes.Buffer
	inner := slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: noTime})
	root := slog.New(slogkey.NewHandler(inner, &handled))
	loggers := []*slog.Logger{root, root.With("a", 1), root.WithGroup("g").With("b", 2), root.With("a", 1).WithGroup("g")}
	log := func() string {
		buf.Reset()
		for _, l := range loggers {
			l.Debug("m", "n", 3)
		}
		return buf.String()
	}
	if got := log(); got != "" {
		t.Errorf("off: %s", got)
	}
	set(t, &handled, slog.LevelDebug)
	want := "level=DEBUG msg=m n=3\nlevel=DEBUG msg=m a=1 n=3\nlevel=DEBUG msg=m g.b=2 g.n=3\nlevel=DEBUG msg=m a=1 g.n=3\n"
	if got := log(); got != want {
		t.Errorf("on:\n%sexpected\n%s", got, want)
	}
	set(t, &handled, slog.LevelInfo)
	if got := log(); got != "" {
		t.Errorf("off again: %s", got)
	}
}

func noTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestHandlerPassesOn(t *testing.T) {
	inner := newRecorder(slog.LevelDebug)
	h := slogkey.NewHandler(inner, &handled)
	if err := h.Handle(t.Context(), slog.Record{Message: "m"}); err != io.ErrShortWrite {
		t.Errorf("Handle: %v, expected the inner handler's error", err)
	}
	if len(*inner.records) != 1 || (*inner.records)[0].Message != "m" {
		t.Errorf("records %v", *inner.records)
	}
	if h.WithGroup("") != slog.Handler(h) || h.WithAttrs(nil) != slog.Handler(h) {
		t.Error("nothing was added, but the handler is another one")
	}
}

// TestHandlerZero: without an inner handler everything is dropped; without a
// LevelVar the level is Info.
func TestHandlerZero(t *testing.T) {
	for _, h := range []*slogkey.Handler{{}, slogkey.NewHandler(nil, nil), slogkey.NewHandler(nil, &handled)} {
		l := slog.New(h).With("a", 1).WithGroup("g")
		l.Error("m")
		if l.Enabled(t.Context(), slog.LevelError) || h.Handle(t.Context(), slog.Record{}) != nil {
			t.Error("a handler without an inner one takes records")
		}
	}
	h := slogkey.NewHandler(newRecorder(-8), nil)
	if h.Enabled(t.Context(), slog.LevelDebug) || !h.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("without a LevelVar the level is not Info")
	}
}
