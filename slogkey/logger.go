package slogkey

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// Logger is a [LevelVar] together with a handler. It has the logging methods of
// [slog.Logger]; those with a level in their name are inlined to the check of a
// key in front of a call. It should be a package-level variable and must not be
// copied after first use. The zero value is at level Info and logs to the handler
// of [slog.Default].
//
// All methods are safe for concurrent use.
type Logger struct {
	LevelVar
	out atomic.Pointer[slog.Handler] // nil: the handler of slog.Default
}

// background is what the methods without a context pass on. A variable costs less
// of the compiler's budget for inlining than a call of context.Background.
var background = context.Background()

// SetHandler makes h the handler from now on; nil makes it that of slog.Default,
// whichever that is at each call.
func (l *Logger) SetHandler(h slog.Handler) {
	if h == nil {
		l.out.Store(nil)
		return
	}
	l.out.Store(&h)
}

func (l *Logger) inner() slog.Handler {
	if h := l.out.Load(); h != nil {
		return *h
	}
	return slog.Default().Handler()
}

// Handler returns the logger's present handler behind its levels, for slog.New
// and for code that takes a handler. A later SetHandler does not change it. Do
// not give it to slog.SetDefault while l itself logs to the default handler.
func (l *Logger) Handler() slog.Handler { return NewHandler(l.inner(), &l.LevelVar) }

// With returns a slog.Logger with attributes, behind the same levels. In front of
// its calls log.DebugOn() is as good as in front of log's own.
func (l *Logger) With(args ...any) *slog.Logger { return slog.New(l.Handler()).With(args...) }

// WithGroup returns a slog.Logger that starts a group, behind the same levels.
func (l *Logger) WithGroup(name string) *slog.Logger { return slog.New(l.Handler()).WithGroup(name) }

// Debug logs at slog.LevelDebug, with arguments as [slog.Logger.Log] takes them.
func (l *Logger) Debug(msg string, args ...any) {
	if l.DebugOn() {
		l.log(background, slog.LevelDebug, msg, args)
	}
}

// DebugContext logs at slog.LevelDebug with the context.
func (l *Logger) DebugContext(ctx context.Context, msg string, args ...any) {
	if l.DebugOn() {
		l.log(ctx, slog.LevelDebug, msg, args)
	}
}

// Info logs at slog.LevelInfo.
func (l *Logger) Info(msg string, args ...any) {
	if l.InfoOn() {
		l.log(background, slog.LevelInfo, msg, args)
	}
}

// InfoContext logs at slog.LevelInfo with the context.
func (l *Logger) InfoContext(ctx context.Context, msg string, args ...any) {
	if l.InfoOn() {
		l.log(ctx, slog.LevelInfo, msg, args)
	}
}

// Warn logs at slog.LevelWarn.
func (l *Logger) Warn(msg string, args ...any) {
	if l.WarnOn() {
		l.log(background, slog.LevelWarn, msg, args)
	}
}

// WarnContext logs at slog.LevelWarn with the context.
func (l *Logger) WarnContext(ctx context.Context, msg string, args ...any) {
	if l.WarnOn() {
		l.log(ctx, slog.LevelWarn, msg, args)
	}
}

// Error logs at slog.LevelError.
func (l *Logger) Error(msg string, args ...any) {
	if l.ErrorOn() {
		l.log(background, slog.LevelError, msg, args)
	}
}

// ErrorContext logs at slog.LevelError with the context.
func (l *Logger) ErrorContext(ctx context.Context, msg string, args ...any) {
	if l.ErrorOn() {
		l.log(ctx, slog.LevelError, msg, args)
	}
}

// DebugAttrs logs at slog.LevelDebug, with attributes only: while Debug is off,
// nothing is allocated for them.
func (l *Logger) DebugAttrs(ctx context.Context, msg string, attrs ...slog.Attr) {
	if l.DebugOn() {
		l.logAttrs(ctx, slog.LevelDebug, msg, attrs)
	}
}

// Log logs at any level. It is too long to be inlined: a level that is off costs a
// call and a read of memory.
func (l *Logger) Log(ctx context.Context, level slog.Level, msg string, args ...any) {
	if l.On(level) {
		l.log(ctx, level, msg, args)
	}
}

// LogAttrs logs at any level, with attributes only. While the level is off it
// costs what Log does, and nothing is allocated for the attributes.
func (l *Logger) LogAttrs(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if l.On(level) {
		l.logAttrs(ctx, level, msg, attrs)
	}
}

// log is the way of what is on. It must be called by an exported method
// directly: the record names that method's caller.
//
//go:noinline
func (l *Logger) log(ctx context.Context, level slog.Level, msg string, args []any) {
	h, ctx, ok := l.open(ctx, level)
	if !ok {
		return
	}
	r := slog.NewRecord(time.Now(), level, msg, caller())
	r.Add(args...)
	_ = h.Handle(ctx, r) // as slog does: nobody is there to be told
}

// logAttrs is log for attributes.
//
//go:noinline
func (l *Logger) logAttrs(ctx context.Context, level slog.Level, msg string, attrs []slog.Attr) {
	h, ctx, ok := l.open(ctx, level)
	if !ok {
		return
	}
	r := slog.NewRecord(time.Now(), level, msg, caller())
	r.AddAttrs(attrs...)
	_ = h.Handle(ctx, r)
}

// open returns the handler if it takes the level.
func (l *Logger) open(ctx context.Context, level slog.Level) (slog.Handler, context.Context, bool) {
	if ctx == nil {
		ctx = background // as slog does
	}
	h := l.inner()
	return h, ctx, h.Enabled(ctx, level)
}

// caller returns where an exported method was called. It skips runtime.Callers,
// itself, log and the method; frames that were inlined count as well.
func caller() uintptr {
	var pcs [1]uintptr
	runtime.Callers(4, pcs[:])
	return pcs[0]
}
