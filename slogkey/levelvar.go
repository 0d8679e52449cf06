package slogkey

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/statickey"
)

// LevelVar is the least level that is on. The zero value is Info, as that of
// [slog.LevelVar]. It should be a package-level variable and must not be copied
// after first use.
//
// It is a [slog.Leveler], so it can be the Level of [slog.HandlerOptions], too;
// there it is read like any other, not as a key.
//
// All methods are safe for concurrent use, also with each other.
type LevelVar struct {
	// Three of the keys say what is off, so that the zero value is Info.
	debug, muteInfo, muteWarn, muteError statickey.Bool
	// least decides about the levels between those that have a key.
	least atomic.Int64
}

// DebugOn reports whether Debug is on. It is inlined to the check of a key.
func (v *LevelVar) DebugOn() bool { return v.debug.Enabled() }

// InfoOn reports whether Info is on. It is inlined to the check of a key.
func (v *LevelVar) InfoOn() bool { return !v.muteInfo.Enabled() }

// WarnOn reports whether Warn is on. It is inlined to the check of a key.
func (v *LevelVar) WarnOn() bool { return !v.muteWarn.Enabled() }

// ErrorOn reports whether Error is on. It is inlined to the check of a key.
func (v *LevelVar) ErrorOn() bool { return !v.muteError.Enabled() }

// On reports whether a level is on. It is inlined; for a constant level that
// slog names only the check of that level's key is left. Levels between these
// have no key and are compared with an atomic.
func (v *LevelVar) On(level slog.Level) bool {
	switch level {
	case slog.LevelDebug:
		return v.debug.Enabled()
	case slog.LevelInfo:
		return !v.muteInfo.Enabled()
	case slog.LevelWarn:
		return !v.muteWarn.Enabled()
	case slog.LevelError:
		return !v.muteError.Enabled()
	}
	return level >= slog.Level(v.least.Load())
}

// Level returns the least level that is on.
func (v *LevelVar) Level() slog.Level { return slog.Level(v.least.Load()) }

// SetLevel makes level the least that is on, in one batch: up to four keys for
// the cost of one. When it returns nil, every later check of every level sees the
// new level, until the next change. While it runs, some checks may see the old
// level and others the new one, so Debug may be seen on before Info is. When it
// returns an error, the old level is in force; [statickey.Bool.Set] names the two
// exceptions.
func (v *LevelVar) SetLevel(level slog.Level) error {
	return apply([]change{{v, level}})
}

// MarshalText returns the level's text, as [slog.Level.MarshalText] does.
func (v *LevelVar) MarshalText() ([]byte, error) { return v.Level().MarshalText() }

// UnmarshalText sets the level from its text, "DEBUG" or "info+1", as
// [slog.Level.UnmarshalText] reads it. It is for decoders and flag.Func; flag.TextVar
// would copy its default over the keys.
func (v *LevelVar) UnmarshalText(text []byte) error {
	var level slog.Level
	if err := level.UnmarshalText(text); err != nil {
		return err
	}
	return v.SetLevel(level)
}

// change is one logger's new level.
type change struct {
	v     *LevelVar
	level slog.Level
}

// levels orders all changes: keys and least of a LevelVar are those of one call,
// whoever calls at the same time.
var levels sync.Mutex

// apply makes all changes or none.
func apply(changes []change) error {
	levels.Lock()
	defer levels.Unlock()
	var b statickey.Batch
	for _, c := range changes {
		b.Set(&c.v.debug, c.level <= slog.LevelDebug)
		b.Set(&c.v.muteInfo, c.level > slog.LevelInfo)
		b.Set(&c.v.muteWarn, c.level > slog.LevelWarn)
		b.Set(&c.v.muteError, c.level > slog.LevelError)
	}
	if err := b.Apply(); err != nil {
		return err
	}
	for _, c := range changes {
		c.v.least.Store(int64(c.level))
	}
	return nil
}
