// Package text is the only package that writes code.
//
// It pokes: it compares what stands at an address with what the caller expects
// and only then writes. How bytes get into text that no mapping of ours may
// write is the backend's business:
//
//	procmem  pwrite to /proc/self/mem, as debuggers do: the kernel copies the
//	         page once and writes into the copy. No change of mappings.
//	alias    the pages that are poked move into a memfd, mapped read+execute
//	         over their old place and read+write elsewhere. A poke is a store.
//	none     no way to write; the caller falls back to reading memory.
//
// No mapping is ever writable and executable at once. docs/RATIONALE.md says
// why procmem is the default although alias is faster.
//
// The package sits below the engine. It may not decide what to write, when,
// or in which order, and it knows nothing of keys.
package text
