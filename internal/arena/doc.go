// Package arena is memory for stubs: small pieces of code that are made while
// the program runs.
//
// A stub is reached from text, and leaves to text, by a JMP or CALL with a
// 32-bit displacement (rel32: Intel SDM vol. 2, "JMP", "CALL"). So the arena is
// one range of addresses from which every byte of the text can be reached, and
// the other way round:
//
//	below the text where there is room: nothing grows there (PIE: always)
//	else above it, as high as rel32 reaches: C's brk heap, which begins
//	behind the bss and grows upwards, keeps the room between
//
// Open reserves the range without access (PROT_NONE) and commits it piece by
// piece, filled with INT3. How bytes get in is the backing's business, and no
// mapping is ever writable and executable at once:
//
//	memfd    each piece is a memfd, mapped read+execute at its place and
//	         read+write elsewhere. The descriptor is closed at once: nobody can
//	         close it, or get its number, while the arena lives.
//	procmem  private anonymous memory, mapped read+execute and written through
//	         /proc/self/mem, where executable mappings of a memfd are refused.
//
// The life of a block:
//
//	Alloc   reserve bytes; they are INT3
//	Write   put the code in, once, before anything leads there
//	        (the caller syncs, then patches sites to lead there;
//	        later it patches them away, syncs, and waits for a grace period)
//	Free    INT3 again, for the next Alloc
//
// What the caller owes: a sync (internal/barrier) between Write and the first
// jump, because the block may have held other code; and a grace period
// (internal/grace) between the sync after the last site that led there and
// Free, because a thread may still be inside. The package cannot check either.
//
// The pages of a memfd are MAP_SHARED: a child that C code made by fork, without
// exec, shares them. Stubs that are written or freed later change for the child
// too, which is still running code that leads to the old ones. Such a child has to exec,
// as with text under the alias backend (internal/text).
//
// An Arena is not safe for concurrent use: the engine's lock covers it. The
// package knows nothing of sites and may not look at the code that it holds.
package arena
