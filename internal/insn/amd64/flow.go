package amd64

import "encoding/binary"

// Flow says where the CPU goes after an instruction.
type Flow uint8

// The flows. Other is the zero value and the answer for every instruction that is
// not known to be one of the others.
const (
	Other  Flow = iota // a jump through a register or memory, a system call, a trap, unknown
	Next               // the next instruction
	Branch             // a Jcc: the next instruction or BranchTarget
	Jump               // BranchTarget
	Call               // BranchTarget, or through a register or memory; later the next instruction
	Stop               // RET and UD2: nothing of this function
)

// Flow returns where the CPU goes after the instruction.
func (in Inst) Flow() Flow {
	f, _ := in.FlowFlags()
	return f
}

// FlowFlags returns what Flow and Flags return.
func (in Inst) FlowFlags() (Flow, FlagUse) {
	use := in.Flags()
	switch _, cond := in.Cond(); {
	case cond && in.ImmLen != 0: // SETcc and CMOVcc have no immediate
		return Branch, use
	case in.Enc == Legacy && in.Map == 0:
		if f := in.flowOneByte(); f != Other {
			return f, use
		}
	case in.Enc == Legacy && in.Map == 1 && in.Op == 0x0B:
		return Stop, use
	}
	if use.Known {
		return Next, use
	}
	return Other, use
}

// flowOneByte knows those that go elsewhere.
func (in Inst) flowOneByte() Flow {
	switch in.Op {
	case 0xE9, 0xEB:
		return Jump
	case 0xE8:
		return Call
	case 0xFF:
		if in.ModRM>>3&7 == 2 {
			return Call
		}
	case 0xC2, 0xC3:
		return Stop
	}
	return Other
}

// BranchTarget returns the address to which the direct jump, branch or call in at
// addr goes; code holds its bytes. It returns 0 for anything else.
func BranchTarget(addr uint64, in Inst, code []byte) uint64 {
	switch f := in.Flow(); {
	case f != Branch && f != Jump && f != Call, in.ImmLen == 0, len(code) < int(in.Len):
		return 0
	}
	if in.ImmLen == 1 {
		return addr + uint64(in.Len) + uint64(int64(int8(code[in.ImmOff])))
	}
	return addr + uint64(in.Len) + uint64(int64(int32(binary.LittleEndian.Uint32(code[in.ImmOff:]))))
}
