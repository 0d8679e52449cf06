package text

import "unsafe"

// Window is text that can be written by plain stores, through a second mapping.
type Window struct {
	rw    []byte  // the second mapping; untouched pages take no memory
	base  uintptr // the text address of rw[0], page aligned
	moved []bool  // by page of rw: can be written here
}

// windowPage is the page size of amd64, the one CPU that has a window. It is a constant
// because Swap has no time to look.
const windowPage = pageMin

// Swap stores v over the byte at addr, and reports whether it did: if its page has
// moved, and the naturally aligned quadword that holds it is old, as far as mask
// goes (the byte at the lowest address is the lowest one). It is one load, which never
// crosses a cache line, and one store of one byte. If it did not, Poke says why. It is
// small enough to be inlined where many bytes are poked. Bounds are those of moved,
// which has an entry for each page of rw.
func (w *Window) Swap(addr uintptr, mask, old uint64, v uint8) bool {
	at := addr - w.base
	page := at / windowPage
	if page >= uintptr(len(w.moved)) || !w.moved[page] {
		return false
	}
	p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(w.rw)), at)
	q := unsafe.Add(unsafe.Pointer(unsafe.SliceData(w.rw)), at&^(WordMax-1))
	if (*(*uint64)(q)^old)&mask != 0 {
		return false
	}
	*(*uint8)(p) = v
	return true
}
