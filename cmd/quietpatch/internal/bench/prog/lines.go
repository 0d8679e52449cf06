package prog

import (
	"io"
	"log/slog"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/statickey"
)

// checksMax is how many checks the longer loops make.
const checksMax = 32

// A line keeps a variable away from others. Far away: CPUs fetch cache lines in
// pairs and in streams, and whoever comes second to a page finds its translation.
type line[T any] struct {
	_ [4096]byte
	v T
	_ [4096]byte
}

const lineSize = 64

// config is what a program publishes by atomic.Pointer.
type config struct{ debug bool }

// The switches that are compared.
var (
	boolLine    line[bool]
	atomicLine  line[atomic.Bool]
	pointerLine line[atomic.Pointer[config]]
	slogLine    line[*slog.Logger]
	slogLevel   line[slog.LevelVar]
	keyLine     line[statickey.Bool]
)

func init() {
	pointerLine.v.Store(&config{})
	slogLine.v = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: &slogLevel.v}))
}

// setAll turns all switches on or off.
func setAll(on bool) error {
	boolLine.v = on
	atomicLine.v.Store(on)
	pointerLine.v.Store(&config{debug: on})
	slogLevel.v.Set(slog.LevelInfo)
	if on {
		slogLevel.v.Set(slog.LevelDebug)
	}
	return keyLine.v.Set(on)
}

// neighbour returns a word in the cache line of p that nothing else uses. The
// variables have room on both sides.
func neighbour(p unsafe.Pointer) *atomic.Uint64 {
	at := uintptr(p) % lineSize
	other := (at + lineSize/2) % lineSize &^ 7
	return (*atomic.Uint64)(unsafe.Add(p, int(other)-int(at)))
}
