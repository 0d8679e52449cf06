package stub

// A Line holds the counts of one CPU; a table has one for each. It has the size of
// two cache lines, because a spatial prefetcher fetches them as an aligned pair
// (Intel Optimization Reference Manual, 248966, "Data Prefetch to L2 and L3
// Caches"): one line each would still be shared. Most counts are in the first.
//
// Stubs write to it while it is read: a reader finds each word old or new, but no
// two words of the same moment. To clear it is to write zeros: a stub that runs
// meanwhile may keep or lose what it counts.
type Line struct {
	Target   [Slots]uint64      // callees that missed, first come first served; 0 is free
	Miss     [Slots]uint32      // calls of Target of the same index
	CatchAll uint32             // misses that came when no slot was free
	Hit      [MaxTargets]uint32 // calls of Dispatch.Targets of the same index
	_        [52]byte
}

const (
	// Slots is how many callees that missed are counted by name.
	Slots = 4
	// MaxTargets is how many targets a Dispatch may compare with.
	MaxTargets = 6
	// MaxCPUs is the largest number of lines: Linux gives the number of the CPU
	// in 12 bits (VDSO_CPUNODE_BITS in arch/x86/include/asm/segment.h).
	MaxCPUs = 1 << 12

	// LineSize is the size of a Line; line n is at Count.Table + n*LineSize.
	LineSize = 1 << lineShift
	// LineTarget is the offset of Target in a Line, of 8 bytes each.
	LineTarget = 0
	// LineMiss is the offset of Miss, of 4 bytes each.
	LineMiss = LineTarget + 8*Slots
	// LineCatchAll is the offset of CatchAll, of 4 bytes.
	LineCatchAll = LineMiss + 4*Slots
	// LineHit is the offset of Hit, of 4 bytes each.
	LineHit = LineCatchAll + 4

	lineShift = 7
)
