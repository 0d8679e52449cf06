package text

import (
	"fmt"
	"strings"
	"unsafe"
)

const (
	// WordMax is how many bytes one poke can write.
	WordMax = 8
	// SiteMax is the length of the longest instruction that is patched.
	SiteMax = 11
)

// pageMin is the smallest page of any system that is patched: what lies in one
// such page is mapped as a whole.
const pageMin = 4096

// Load reads n bytes (1 to WordMax) of text at addr, the first one lowest. The
// address must lie in mapped text. It reads whole words where that stays within
// the page; bytes beyond n are not looked at, so it does not matter that others
// may be writing them.
func Load(addr uintptr, n int) uint64 {
	if addr%pageMin <= pageMin-WordMax {
		return **(**uint64)(unsafe.Pointer(&addr)) & (^uint64(0) >> (64 - 8*n))
	}
	return loadBytes(addr, n)
}

func loadBytes(addr uintptr, n int) uint64 {
	var w uint64
	for i := range n {
		w |= uint64(loadByte(addr+uintptr(i))) << (8 * i)
	}
	return w
}

// loadByte reads one byte of text. Text is not Go memory: the collector neither
// moves nor frees it, so the conversion from a number is sound.
func loadByte(addr uintptr) byte {
	return **(**byte)(unsafe.Pointer(&addr))
}

// Hex writes the n bytes of a word as they stand in memory.
func Hex(w uint64, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%02x", byte(w>>(8*i)))
	}
	return b.String()
}

// MismatchError says that text is not what it was expected to be. Nothing was
// written.
type MismatchError struct {
	Addr            uintptr
	N               int
	Expected, Found uint64 // N bytes, the first one lowest
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("text at %#x: expected %s, found %s", e.Addr, Hex(e.Expected, e.N), Hex(e.Found, e.N))
}

// WriteError says that a backend could not write.
type WriteError struct {
	Backend string
	Addr    uintptr
	N       int
	Err     error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("text at %#x: %s could not write %d bytes: %v", e.Addr, e.Backend, e.N, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }
