package text

import "testing"

func TestSwap(t *testing.T) {
	const base, old = 0x400000, 0x1716151413121110
	w := &Window{rw: make([]byte, 2*windowPage), base: base, moved: []bool{true, false}}
	for i := range w.rw {
		w.rw[i] = byte(i)
	}
	for addr, ok := range map[uintptr]bool{
		base: true, base + 0xff8: true, base + 0xfff: true,
		base + 0x1000: false, base + 0x1ff9: false, base + 0x2000: false, base - 1: false, 0: false,
	} {
		if got := w.Swap(addr, 0, 0, byte(addr)); got != ok {
			t.Errorf("Swap at %#x: %v", addr, got)
		}
	}
	for in := range 8 {
		addr, other := uintptr(base+0x10+in), uint64(1)<<(8*in)
		for at := uintptr(base + 0x10); at < base+0x18; at++ {
			if w.Swap(at, 0xFF<<(8*in), old^other, 0xEE) {
				t.Errorf("swapped at %#x although the byte at %#x is another", at, addr)
			}
			if !w.Swap(at, ^uint64(0xFF<<(8*in)), old^other, byte(at)) {
				t.Errorf("not swapped at %#x because of the byte at %#x, which does not count", at, addr)
			}
		}
	}
	if !w.Swap(base+0x16, ^uint64(0), old, 0xFF) || w.rw[0x16] != 0xFF {
		t.Errorf("after Swap: % x", w.rw[0x10:0x18])
	}
	w.rw[0x16] = 0x16
	for i := range w.rw {
		if w.rw[i] != byte(i) {
			t.Errorf("the byte at %#x became %#x", i, w.rw[i])
		}
	}
}
