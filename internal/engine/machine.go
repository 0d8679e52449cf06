package engine

import (
	"github.com/quietpatch/quietpatch/internal/site"
	"github.com/quietpatch/quietpatch/internal/text"
	"github.com/quietpatch/quietpatch/internal/trap"
)

// image is the executable that holds the keys and their sites.
type image interface {
	site.Image
	site.Code
	// Read makes Text ready, Release gives its memory back.
	Read() error
	Release()
	// InData reports whether addr is in the executable's own writable data.
	InData(addr uintptr) bool
	// InText reports whether addr is in the executable's own text.
	InText(addr uintptr) bool
	// Constant reports whether addr is in memory that the executable came with and
	// that nobody can write.
	Constant(addr uintptr) bool
	// Place names pc for people, without the frames that hide is true for.
	Place(pc uint64, hide func(fn string) bool) (fn, file string, line int)
}

// machine is all that the engine needs to change text. The production one is
// in live_linux.go; tests put faults in between.
type machine interface {
	// Backend names what writes.
	Backend() string
	// Ready says whether traps may be taken now: the handler is ours, and no
	// tracer would see the traps first.
	Ready(allowTracer bool) error
	// Begin is called before every batch.
	Begin() error
	// Prepare makes the pages of the addresses (sorted) ready for Poke.
	Prepare(addrs []uintptr) error
	// Load reads n bytes of text.
	Load(addr uintptr, n int) uint64
	// Poke compares n bytes with old and writes new.
	Poke(addr uintptr, n int, old, new uint64) error
	// StoreMax is how many bytes within an aligned quadword Poke writes by one
	// store.
	StoreMax() int
	// Window is the direct way to poke single bytes, nil if there is none.
	Window() *text.Window
	// Rescue pokes by any means that works. It serves the way back only.
	Rescue(addr uintptr, n int, old, new uint64) error
	// Sync makes all CPUs serialize. Those of isolated threads may do it later, unless
	// everyone has to now.
	Sync(everyone bool) error
	Publish(entries []trap.Entry) error
	Retire()
	Traps() trap.Counts
	// Stubs is memory for code near the text.
	Stubs() (stubMemory, error)
	// Visit returns nil if every thread was seen outside of all stubs that nothing leads
	// to, at some time since the call. It disturbs no isolated thread.
	Visit() error
	Close() error
}
