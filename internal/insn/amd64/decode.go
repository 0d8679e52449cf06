package amd64

import "errors"

// The errors of Decode. They hold no position, so that a walk over megabytes
// of text allocates nothing: the caller knows the address and adds it.
var (
	// ErrTruncated: the code ends inside the instruction.
	ErrTruncated = errors.New("amd64: the code ends inside an instruction")
	// ErrInvalid: no instruction that this package knows, or more than 15 bytes.
	ErrInvalid = errors.New("amd64: not a known instruction of 64-bit mode")
	// ErrAmbiguous: a near branch with an operand-size prefix. Intel ignores
	// the prefix (SDM vol. 2, appendix A, superscript f64 of the opcode maps);
	// AMD takes a 16-bit operand (APM vol. 3, appendix B): the target is cut, and
	// the offset of the near forms has two bytes. Tried on an EPYC: 66 0F 85 is
	// five bytes long there, 66 48 0F 85 eight.
	ErrAmbiguous = errors.New("amd64: a branch with an operand-size prefix, which CPUs decode differently")
)

// maxInstLen is the limit of the hardware (Intel SDM vol. 2, 2.2.1 and 2.3.11).
const maxInstLen = 15

// prefixBits gives the bit of each prefix byte.
var prefixBits = [256]Prefix{
	0x26: Segment, 0x2E: Segment, 0x36: Segment, 0x3E: Segment, 0x64: Segment, 0x65: Segment,
	0x66: OpSize, 0x67: AddrSize, 0xF0: Lock, 0xF2: RepNE, 0xF3: Rep,
}

// Decode decodes the one instruction at code[0].
func Decode(code []byte) (Inst, error) {
	var in Inst
	if err := decode(&in, code); err != nil {
		return Inst{}, err
	}
	return in, nil
}

// decode decodes into in, which is zero. After an error in holds rubbish.
func decode(in *Inst, code []byte) error {
	pos := 0
	for ; ; pos++ {
		if pos >= len(code) || pos >= maxInstLen {
			return shortAt(pos)
		}
		b := code[pos]
		switch a := oneByte[b]; {
		case a < invalid:
			in.Op = b
			return finish(in, a, code, pos+1)
		case a == prefix:
			// A REX counts only directly before the opcode (Intel SDM vol. 2, 2.2.1).
			in.Prefixes |= prefixBits[b]
			in.Rex = 0
		case a == rex:
			in.Rex = b
		default:
			return escape(in, a, code, pos)
		}
	}
}

// shortAt is the error for code that ends before the byte at pos.
func shortAt(pos int) error {
	if pos >= maxInstLen {
		return ErrInvalid
	}
	return ErrTruncated
}

// escape decodes from code[pos], which is not an opcode of the one-byte map.
func escape(in *Inst, a attr, code []byte, pos int) error {
	switch a {
	case escape0F:
		return decode0F(in, code, pos+1)
	case escapeVEX2:
		return decodeVEX2(in, code, pos)
	case escapeVEX3:
		return decodeVEX3(in, code, pos)
	case escapeEVEX:
		return decodeEVEX(in, code, pos)
	case escapeXOP:
		if pos+1 >= len(code) {
			return shortAt(pos + 1)
		}
		if code[pos+1]&0x1F < 8 { // POP r/m
			in.Op = code[pos]
			return finish(in, modRM|group, code, pos+1)
		}
		return decodeXOP(in, code, pos)
	}
	return ErrInvalid
}

// decode0F decodes the maps behind 0F; code[pos] is the byte after it.
func decode0F(in *Inst, code []byte, pos int) error {
	if pos >= len(code) {
		return shortAt(pos)
	}
	in.Map, in.Op = 1, code[pos]
	switch a := map0F[in.Op]; a {
	default:
		return finish(in, a, code, pos+1)
	case escape38:
		in.Map = 2
		return decode0F3x(in, modRM, &known0F38, code, pos+1)
	case escape3A:
		in.Map = 3
		return decode0F3x(in, modRM|imm8, &known0F3A, code, pos+1)
	case invalid:
		return ErrInvalid
	}
}

// decode0F3x decodes the opcode code[pos] of a map in which all have the same attributes.
func decode0F3x(in *Inst, a attr, known *opSet, code []byte, pos int) error {
	if pos >= len(code) {
		return shortAt(pos)
	}
	in.Op = code[pos]
	if !known.has(in.Op) {
		return ErrInvalid
	}
	return finish(in, a, code, pos+1)
}

// finish decodes what follows the opcode: operands and immediate.
func finish(in *Inst, a attr, code []byte, pos int) error {
	if a&modRM != 0 {
		var err error
		if pos, err = operands(in, a, code, pos); err != nil {
			return err
		}
	}
	if a&kindMask != immNone {
		n, err := immediate(in, a&kindMask)
		if err != nil {
			return err
		}
		if a == moffs {
			in.DispOff, in.DispLen = uint8(pos), n
		} else if n > 0 {
			in.ImmOff, in.ImmLen = uint8(pos), n
		}
		pos += int(n)
	}
	if pos > maxInstLen {
		return ErrInvalid
	}
	if pos > len(code) {
		return ErrTruncated
	}
	if a&kindMask == suffix && !known3DNow.has(code[pos-1]) {
		return ErrInvalid
	}
	in.Len = uint8(pos)
	return nil
}

// operands decodes ModRM, which is code[pos], and what belongs to it. It
// returns the position after that.
func operands(in *Inst, a attr, code []byte, pos int) (int, error) {
	if pos >= len(code) {
		return 0, shortAt(pos)
	}
	in.HasModRM, in.ModRM = true, code[pos]
	if a&group != 0 && groupRegs(in)>>(in.ModRM>>3&7)&1 == 0 {
		return 0, ErrInvalid
	}
	if a&regOnly != 0 || in.ModRM >= 0xC0 {
		return pos + 1, nil
	}
	return memory(in, code, pos+1)
}

// memory decodes SIB and displacement of a memory operand; code[pos] is the
// byte after ModRM. It returns the position after the displacement.
func memory(in *Inst, code []byte, pos int) (int, error) {
	n := uint8(0)
	switch in.ModRM >> 6 {
	case 0:
		if in.ModRM&7 == 5 {
			n = 4
		}
	case 1:
		n = 1
	case 2:
		n = 4
	}
	if in.ModRM&7 == 4 {
		if pos >= len(code) {
			return 0, shortAt(pos)
		}
		if code[pos]&7 == 5 && in.ModRM>>6 == 0 { // no base register
			n = 4
		}
		pos++
	}
	if n > 0 {
		in.DispOff, in.DispLen = uint8(pos), n
	}
	return pos + int(n), nil
}
