package text

import "testing"

func TestSlot(t *testing.T) {
	w := &Window{rw: make([]byte, 8192), base: 0x400000, moved: []bool{true, false}, shift: 12}
	for i := range w.rw {
		w.rw[i] = byte(i)
	}
	for addr, ok := range map[uintptr]bool{
		0x400000: true, 0x400ff8: true, 0x400fff: true, 0x401000: false, 0x401ff9: false, 0x402000: false, 0x3fffff: false, 0: false,
	} {
		if s := w.Slot(addr); (s != nil) != ok {
			t.Errorf("Slot(%#x) = % x", addr, s)
		}
	}
	s := w.Slot(0x400010)
	const old = 0x1716151413121110
	for n := uint8(1); n <= 8; n++ {
		if s.Swap(n, old^1<<(8*n-1), 0, 0xEE) {
			t.Errorf("%d bytes: swapped although the last is another", n)
		}
		if n < 8 && !s.Swap(n, old^1<<(8*n), 0, 0x10) {
			t.Errorf("%d bytes: not swapped because of a byte behind them", n)
		}
	}
	if !s.Swap(7, old, 6, 0xFF) || w.rw[0x16] != 0xFF || w.rw[0x15] != 0x15 || w.rw[0x17] != 0x17 {
		t.Errorf("after Swap: % x", w.rw[0x10:0x18])
	}
	if Slot(nil).Swap(7, 0, 0, 0) {
		t.Error("swapped nothing")
	}
}
