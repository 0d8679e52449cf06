//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/visit"
)

// Stubs opens the memory for stubs when it is first wanted.
func (l *live) Stubs() (stubMemory, error) {
	if theStubs == nil {
		lo, hi := l.src.Range()
		a, err := arena.Open(lo, hi)
		if err != nil {
			return nil, err
		}
		theStubs = a
	}
	return theStubs, nil
}

// theStubs is the one arena of the process: threads may be inside.
var theStubs *arena.Arena

// Visit looks at every thread. Isolated ones are asked nothing: their words tell, since
// they make no calls that have stubs outside Kernel. (Sealed keys, which they may check, have none.) Those who
// break that promise are waited for by departures.
func (l *live) Visit() error {
	if theStubs == nil {
		return nil // nobody can be inside
	}
	s := theStubs.Stats()
	snapshot := deferral.Snap()
	lo, hi := l.src.Range()
	return visit.Round(visit.Scene{
		Stubs:    visit.Range{Lo: s.Base, Hi: s.Base + s.ReservedBytes},
		Text:     visit.Range{Lo: lo, Hi: hi},
		Isolated: snapshot.Of,
		Ordinary: deferral.Ordinary,
	})
}
