package amd64

// The prefixes that VEX, EVEX and XOP do not tolerate before them; REX is
// another (Intel SDM vol. 2, 2.3.2 to 2.3.4).
const vexForbids = OpSize | Rep | RepNE | Lock

// decodeVEX2 decodes from the C5 at code[pos]. Its map is always 0F.
func decodeVEX2(in *Inst, code []byte, pos int) error {
	return vexOpcode(in, VEX, 1, code, pos+2)
}

// decodeVEX3 decodes from the C4 at code[pos].
func decodeVEX3(in *Inst, code []byte, pos int) error {
	if pos+1 >= len(code) {
		return shortAt(pos + 1)
	}
	return vexOpcode(in, VEX, code[pos+1]&0x1F, code, pos+3)
}

// decodeXOP decodes from the 8F at code[pos].
func decodeXOP(in *Inst, code []byte, pos int) error {
	if pos+1 >= len(code) {
		return shortAt(pos + 1)
	}
	return vexOpcode(in, XOP, code[pos+1]&0x1F, code, pos+3)
}

// decodeEVEX decodes from the 62 at code[pos]. Two bits of the payload have
// fixed values (Intel SDM vol. 2, chapter 2, Instruction Format and EVEX); APX
// uses them for registers 16 to 31.
func decodeEVEX(in *Inst, code []byte, pos int) error {
	if pos+2 >= len(code) {
		return shortAt(pos + 2)
	}
	if code[pos+1]&0x08 != 0 || code[pos+2]&0x04 == 0 {
		return ErrInvalid
	}
	return vexOpcode(in, EVEX, code[pos+1]&0x07, code, pos+4)
}

// vexOpcode decodes an instruction whose opcode is code[pos] in the given map.
func vexOpcode(in *Inst, enc Encoding, opMap uint8, code []byte, pos int) error {
	known := knownIn(enc, opMap)
	if known == nil || in.Rex != 0 || in.Prefixes&vexForbids != 0 {
		return ErrInvalid
	}
	if pos >= len(code) {
		return shortAt(pos)
	}
	in.Enc, in.Map, in.Op = enc, opMap, code[pos]
	if !known.has(in.Op) {
		return ErrInvalid
	}
	return finish(in, vexAttr(opMap, in.Op), code, pos+1)
}

// knownIn returns the opcodes of a map, nil or an empty set if there is no such map.
func knownIn(enc Encoding, opMap uint8) *opSet {
	switch {
	case enc == VEX && opMap < 8:
		return &knownVEX[opMap]
	case enc == EVEX && opMap < 8:
		return &knownEVEX[opMap]
	case enc == XOP && opMap >= 8 && int(opMap-8) < len(knownXOP):
		return &knownXOP[opMap-8]
	}
	return nil
}

// vexAttr says what follows the opcode. The map decides nearly alone.
func vexAttr(opMap uint8, op byte) attr {
	switch opMap {
	case 1:
		return vexAttr0F(op)
	case 2:
		if op == 0xF3 {
			return modRM | group
		}
	case 3, 8:
		return modRM | imm8
	case 9:
		if op == 0x01 || op == 0x02 || op == 0x12 {
			return modRM | group
		}
	case 10:
		if op == 0x12 {
			return modRM | group | immZ
		}
		return modRM | immZ
	}
	return modRM
}

func vexAttr0F(op byte) attr {
	switch op {
	case 0x71, 0x72, 0x73:
		return modRM | group | imm8
	case 0x70, 0xC2, 0xC4, 0xC5, 0xC6:
		return modRM | imm8
	case 0xAE:
		return modRM | group
	case 0x77: // VZEROUPPER, VZEROALL
		return immNone
	}
	return modRM
}
