package slogkey

import (
	"context"
	"log/slog"
)

// Handler is a [slog.Handler] that asks a [LevelVar] before it asks another
// handler. It is for code that has a slog.Logger already: the LevelVar is then
// the level of all loggers that were made from this one, too.
//
// The zero value drops everything.
type Handler struct {
	levels *LevelVar
	inner  slog.Handler
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler returns a handler that hands to inner what is on in v and enabled in
// inner. A nil inner drops everything; a nil v is Info for good.
func NewHandler(inner slog.Handler, v *LevelVar) *Handler {
	if v == nil {
		v = new(LevelVar)
	}
	return &Handler{levels: v, inner: inner}
}

// Enabled reports whether the level is on and inner would handle it. While the
// level is off, inner is not asked.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner != nil && h.levels.On(level) && h.inner.Enabled(ctx, level)
}

// Handle hands the record to inner. Like that of any handler it relies on the
// caller to have asked Enabled.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if h.inner == nil {
		return nil
	}
	return h.inner.Handle(ctx, r)
}

// WithAttrs returns a handler with the same LevelVar, whose inner has the attributes.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.inner == nil || len(attrs) == 0 {
		return h
	}
	return &Handler{levels: h.levels, inner: h.inner.WithAttrs(attrs)}
}

// WithGroup returns a handler with the same LevelVar, whose inner has the group
// open. For the empty name it is the receiver, as slog asks of every handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if h.inner == nil || name == "" {
		return h
	}
	return &Handler{levels: h.levels, inner: h.inner.WithGroup(name)}
}
