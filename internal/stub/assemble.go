package stub

import (
	"encoding/binary"
	"fmt"
	"math"
)

// assembler holds the few instructions that stubs are made of. Their encodings
// are those of Intel SDM vol. 2, chapters 3 to 5. Forms are chosen by the operands,
// never by where the code is, so that its length does not depend on that.
type assembler struct {
	at   uint64 // address of code[0]
	code []byte
	err  error // the first jump that did not reach
}

// REX.W, and condition codes of Jcc (SDM vol. 2, 2.2.1.2 and appendix B.1.4.7).
const (
	rexW = 8

	condE  = 4
	condNE = 5
)

func (a *assembler) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *assembler) imm32(v uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, v) }

// rex returns the prefix for ModRM fields reg and rm.
func rex(w, reg, rm uint8) byte { return 0x40 | w | reg>>3<<2 | rm>>3 }

// direct returns the ModRM byte for two registers.
func direct(reg, rm uint8) byte { return 0xC0 | reg&7<<3 | rm&7 }

// regs emits an instruction on two registers, or on one and an opcode extension.
func (a *assembler) regs(w, opcode, reg, rm uint8) {
	a.emit(rex(w, reg, rm), opcode, direct(reg, rm))
}

// mem emits an instruction on off(base). The base is R13 or R15, so that no SIB
// byte is needed, and no offset in a Line is above 127.
func (a *assembler) mem(w, opcode, reg, base, off uint8) {
	a.emit(rex(w, reg, base), opcode, 0x40|reg&7<<3|base&7, off)
}

// rel32 emits the displacement that ends an instruction.
func (a *assembler) rel32(target uint64) {
	next := a.at + uint64(len(a.code)) + 4
	d := int64(target - next)
	if d != int64(int32(d)) && a.err == nil {
		a.err = fmt.Errorf("stub: %#x cannot be reached from the instruction that ends at %#x: it is %+#x bytes away,"+
			" a rel32 reaches from %+#x to %+#x; place the stub nearer to the text", target, next, d, math.MinInt32, math.MaxInt32)
	}
	a.imm32(uint32(d))
}

// JMP target
func (a *assembler) jmp(target uint64) {
	a.emit(0xE9)
	a.rel32(target)
}

// Jcc target
func (a *assembler) jcc(cond uint8, target uint64) {
	a.emit(0x0F, 0x80|cond)
	a.rel32(target)
}

// Jcc over code that follows, up to where land is called with the result.
func (a *assembler) jccShort(cond uint8) (from int) {
	a.emit(0x70|cond, 0)
	return len(a.code)
}

// land lets the short jump that ends at from go to here. The longest in any stub
// is 80 bytes.
func (a *assembler) land(from int) { a.code[from-1] = byte(len(a.code) - from) }

// MOV $v, reg: zero-extended from 32 bits, else sign-extended, else all of it.
func (a *assembler) movImm(reg uint8, v uint64) {
	switch {
	case v <= math.MaxUint32:
		if reg >= 8 {
			a.emit(rex(0, 0, reg))
		}
		a.emit(0xB8 | reg&7)
		a.imm32(uint32(v))
	case int64(v) == int64(int32(v)):
		a.regs(rexW, 0xC7, 0, reg)
		a.imm32(uint32(v))
	default:
		a.emit(rex(rexW, 0, reg), 0xB8|reg&7)
		a.code = binary.LittleEndian.AppendUint64(a.code, v)
	}
}

// LEAQ target(RIP), reg
func (a *assembler) lea(reg uint8, target uint64) {
	a.emit(rex(rexW, reg, 0), 0x8D, reg&7<<3|5)
	a.rel32(target)
}

// CMPQ reg, $v, sign-extended. The short form for AX is the one that assemblers choose.
func (a *assembler) cmpImm(reg uint8, v int32) {
	if reg == regAX {
		a.emit(rex(rexW, 0, 0), 0x3D)
	} else {
		a.regs(rexW, 0x81, 7, reg)
	}
	a.imm32(uint32(v))
}

// ANDL $v, reg
func (a *assembler) andImm(reg uint8, v uint32) {
	if v <= math.MaxInt8 {
		a.regs(0, 0x83, 4, reg)
		a.emit(byte(v))
		return
	}
	a.regs(0, 0x81, 4, reg)
	a.imm32(v)
}

// SHLL $n, reg
func (a *assembler) shlImm(reg, n uint8) {
	a.regs(0, 0xC1, 4, reg)
	a.emit(n)
}

// ADDQ src, dst
func (a *assembler) add(dst, src uint8) { a.regs(rexW, 0x01, src, dst) }

// CMPQ reg, with
func (a *assembler) cmp(reg, with uint8) { a.regs(rexW, 0x39, with, reg) }

// LSLL reg, reg
func (a *assembler) lsl(reg uint8) { a.emit(rex(0, reg, reg), 0x0F, 0x03, direct(reg, reg)) }

// RDPID reg
func (a *assembler) rdpid(reg uint8) { a.emit(0xF3, rex(0, 0, reg), 0x0F, 0xC7, direct(7, reg)) }

// INCL off(base)
func (a *assembler) inc(base, off uint8) { a.mem(0, 0xFF, 0, base, off) }

// CMPQ off(base), reg
func (a *assembler) cmpMem(base, off, reg uint8) { a.mem(rexW, 0x39, reg, base, off) }

// CMPQ off(base), $0
func (a *assembler) cmpMemZero(base, off uint8) {
	a.mem(rexW, 0x83, 7, base, off)
	a.emit(0)
}

// MOVQ reg, off(base)
func (a *assembler) store(reg, base, off uint8) { a.mem(rexW, 0x89, reg, base, off) }
