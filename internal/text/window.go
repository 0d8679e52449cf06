package text

import "encoding/binary"

// Window is text that can be written by plain stores, through a second mapping.
type Window struct {
	rw    []byte  // the second mapping; untouched pages take no memory
	base  uintptr // the text address of rw[0], page aligned
	moved []bool  // by page: can be written here
	shift uint8   // of a page
}

// Slot is eight bytes of text that can be compared and stored into; none if that is
// not possible.
type Slot []byte

// Slot returns the eight bytes at addr, or none: then Poke says why. Its bytes behind
// the site may lie in a page that has not moved; they say nothing. All of this is
// small enough to be inlined where many bytes are poked.
func (w *Window) Slot(addr uintptr) Slot {
	off := addr - w.base
	page := off >> (w.shift & 63)
	if page >= uintptr(len(w.moved)) || !w.moved[page] || off+WordMax > uintptr(len(w.rw)) {
		return nil
	}
	return w.rw[off : off+WordMax]
}

// Swap stores v into byte off (0 to 7) if the first n bytes (1 to 8) are those of old,
// and reports whether it did. It is one store of one byte.
func (s Slot) Swap(n uint8, old uint64, off, v uint8) bool {
	behind := (64 - 8*n) & 63
	if len(s) < WordMax || binary.LittleEndian.Uint64(s)<<behind != old<<behind {
		return false
	}
	s[off&7] = v
	return true
}
