package slogkey

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/quietpatch/quietpatch/statickey"
)

// ErrUnknown is wrapped when no logger has the name.
var ErrUnknown = errors.New("no logger is registered under this name")

// names holds what Register was given.
var names = struct {
	sync.Mutex
	byName map[string]*LevelVar
}{byName: map[string]*LevelVar{}}

// Register gives v a name, under which [SetLevel] finds it, and a one-line
// description. Write it next to the variable:
//
//	var log slogkey.Logger
//	var _ = slogkey.Register(&log.LevelVar, "net.http", "requests and connections")
//
// In lists of keys the key of Debug has this name; those of the other levels say
// what they mute: net.http.mute-info, net.http.mute-warn, net.http.mute-error.
//
// The errors are those of [statickey.Register]. If the name itself is refused, v
// works without it. If only a derived name is taken, SetLevel knows v all the same.
//
// It is not inlined, and v is the address of its key of Debug: a tool that reads
// the calls of statickey.Register off a binary can read these, too.
//
//go:noinline
func Register(v *LevelVar, name, description string) error {
	names.Lock()
	defer names.Unlock()
	var errs []error
	for i, k := range v.keys() {
		statickey.Own(k.key, "slogkey.SetLevel, which keeps the levels in order")
		err := statickey.Register(k.key, name+k.suffix, description+k.means)
		if err != nil && i == 0 {
			return err
		}
		errs = append(errs, err)
	}
	names.byName[name] = v
	return errors.Join(errs...)
}

type namedKey struct {
	key           *statickey.Bool
	suffix, means string
}

func (v *LevelVar) keys() [4]namedKey {
	return [...]namedKey{
		{&v.debug, "", ""},
		{&v.muteInfo, ".mute-info", ": no Info"},
		{&v.muteWarn, ".mute-warn", ": no Warn"},
		{&v.muteError, ".mute-error", ": no Error"},
	}
}

// SetLevel sets the level of the logger with this name, see [LevelVar.SetLevel].
// The error wraps [ErrUnknown] if there is none.
func SetLevel(name string, level slog.Level) error {
	return SetLevels(map[string]slog.Level{name: level})
}

// SetLevels sets the levels of several loggers in one batch, all or none: their
// checks are rewritten together, for the cost of one. The error wraps
// [ErrUnknown] if a name is not known; then nothing is changed.
func SetLevels(byName map[string]slog.Level) error {
	changes, err := find(byName)
	if err != nil {
		return err
	}
	return apply(changes)
}

func find(byName map[string]slog.Level) ([]change, error) {
	names.Lock()
	defer names.Unlock()
	changes := make([]change, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		v := names.byName[name]
		if v == nil {
			return nil, fmt.Errorf("slogkey: level of %q: %w; registered are: %s",
				name, ErrUnknown, strings.Join(slices.Sorted(maps.Keys(names.byName)), ", "))
		}
		changes = append(changes, change{v, byName[name]})
	}
	return changes, nil
}

// Levels returns the level of every logger that has a name.
func Levels() map[string]slog.Level {
	names.Lock()
	defer names.Unlock()
	out := make(map[string]slog.Level, len(names.byName))
	for name, v := range names.byName {
		out[name] = v.Level()
	}
	return out
}
