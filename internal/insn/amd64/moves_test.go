package amd64

// moves returns the originals of all register forms, for all 16 registers,
// with a displacement of 0.
func moves() (all []Code) {
	for reg := range byte(16) {
		rexR, modRM := reg>>3<<2, reg&7<<3|5
		for _, wide := range []byte{0x40, 0x48} {
			for _, op := range [][]byte{{0x0F, 0xB6}, {0x8B}, {0x63}} {
				if op[0] == 0x63 && wide == 0x40 {
					continue // to 32 bits: no form
				}
				var code []byte
				if rex := wide | rexR; rex != 0x40 {
					code = append(code, rex)
				}
				code = append(append(code, op...), modRM, 0, 0, 0, 0)
				c := Code{N: uint8(len(code))}
				copy(c.B[:], code)
				all = append(all, c)
			}
		}
	}
	return all
}
