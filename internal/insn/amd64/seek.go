package amd64

// Seek decodes one instruction after the other from code[pos] on, which must be the
// first byte of one, and returns the one that holds code[want] and its position. After
// an error that is the position of what could not be decoded.
func Seek(code []byte, pos, want int) (int, Inst, error) {
	for pos+seekBytes <= len(code) {
		n := commonLen((*[seekBytes]byte)(code[pos:]))
		if n == 0 {
			in, err := Decode(code[pos:])
			if err != nil {
				return pos, Inst{}, err
			}
			n = int(in.Len)
		}
		if want < pos+n {
			break
		}
		pos += n
	}
	for {
		in, err := Decode(code[min(pos, len(code)):])
		if err != nil || want < pos+int(in.Len) {
			return pos, in, err
		}
		pos += int(in.Len)
	}
}

// seekBytes is how far commonLen may look.
const seekBytes = 16

// commonLen returns the length of the instruction, as Decode does, or 0 if it is not of the
// kinds that most of compiled code consists of: at most one prefix of 66, F2 and F3, a
// REX, the one-byte map or 0F, and an immediate whose length does not depend on ModRM.
func commonLen(code *[seekBytes]byte) int {
	pos, op := 1, code[0]
	opSize := op == 0x66
	if opSize || op == 0xF2 || op == 0xF3 {
		pos, op = 2, code[1]
	}
	wide := false
	if op&0xF0 == rexBase {
		wide = op&rexW != 0
		op = code[pos]
		pos++
	}
	a := oneByte[op]
	if a == escape0F {
		a = map0F[code[pos]]
		pos++
	}
	t := commonTails[a]
	if t&known == 0 || t&tailOpSize != 0 && opSize {
		return 0
	}
	n := pos + int(t&tailImm)
	if t&tailWide != 0 && wide {
		n += 4
	}
	if t&tailModRM == 0 {
		return n
	}
	m := code[pos]
	n += 1 + int(memoryLens[m>>6<<3|m&7])
	if m&0xC7 == 0x04 && code[pos+1]&7 == 5 { // SIB without a base register
		n += 4
	}
	return n
}

// What commonTails says about what follows an opcode.
const (
	tailImm    = 0x0F // length of the immediate
	tailModRM  = 0x10
	tailOpSize = 0x20 // depends on the operand size
	tailWide   = 0x40 // 4 bytes more with REX.W
	known      = 0x80
)

// commonTails is by attribute. All that is not in here is left to Decode.
var commonTails = [256]uint8{
	immNone:      known,
	imm8:         known | 1,
	immZ:         known | 4 | tailOpSize,
	immV:         known | 4 | tailOpSize | tailWide,
	rel8:         known | 1 | tailOpSize,
	rel32:        known | 4 | tailOpSize,
	modRM:        known | tailModRM,
	modRM | imm8: known | tailModRM | 1,
	modRM | immZ: known | tailModRM | 4 | tailOpSize,
}

// memoryLens holds the bytes of SIB and displacement, by mod and rm.
var memoryLens = [32]uint8{
	0, 0, 0, 0, 1, 4, 0, 0,
	1, 1, 1, 1, 2, 1, 1, 1,
	4, 4, 4, 4, 5, 4, 4, 4,
}
