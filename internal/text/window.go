package text

// Window is text that can be written by plain stores, through a second mapping.
type Window struct {
	rw    []byte  // the second mapping; untouched pages take no memory
	base  uintptr // the text address of rw[0], page aligned
	moved []bool  // by page: can be written here
	shift uint8   // of a page
}

// Word returns the eight bytes at addr, to be compared and stored into, or nil if
// that is not possible here; then Poke says why. It is small enough to be inlined
// where many bytes are poked. Bytes behind the site may lie in a page that has not
// moved; they say nothing.
func (w *Window) Word(addr uintptr) []byte {
	off := addr - w.base
	page := off >> (w.shift & 63)
	if page >= uintptr(len(w.moved)) || !w.moved[page] || off+WordMax > uintptr(len(w.rw)) {
		return nil
	}
	return w.rw[off : off+WordMax]
}
