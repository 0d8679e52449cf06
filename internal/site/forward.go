package site

import (
	"encoding/binary"
	"errors"
	"fmt"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// ErrForwarder: a function is not the forwarder of a static call.
var ErrForwarder = errors.New("not a forwarder (expected one statement, return x.Func()(the function's own arguments, in order), and //go:noinline)")

// A forwarder calls the function that a variable holds, and does nothing else: what is
// in the registers of arguments reaches the callee as it came, and what the callee leaves
// in the registers of results reaches the caller. So a caller may as well call the
// callee. The shape, which Go 1.25 to 1.27 give to
//
//	//go:noinline
//	func Sum(b []byte) uint32 { return sum.Func()(b) }
//
// is this, with the parts in brackets where they are needed:
//
//	[CMPQ 16(R14), SP; JLS more]	the stack bound
//	PUSHQ BP; MOVQ SP, BP; [SUBQ $frame, SP]
//	[MOVQ AX, 40(SP) ...]	arguments to their own spill slots, above the frame
//	MOVQ sum(SB), DX	the variable: the closure
//	MOVQ (DX), r	its code
//	CALL r	or CALL runtime.retpolineR
//	[ADDQ $frame, SP]; POPQ BP; RET
//
// Any other instruction, a move between registers above all, makes it something else. A
// store below the caller's frame is an argument on the stack: whether all of them are
// copied is not followed.
//
// The frame is what the callee is given on the stack: results that do not fit into
// registers, and slots to spill its arguments to. It may not be more than what the callers
// of the forwarder have there for it, or the callee would write into their variables: so
// it would be for a forwarder that drops results, or passes an argument as part of
// a struct.
type forwarder struct {
	img   Image
	at    uint64
	code  []byte
	frame uint32
	reg   uint8 // that holds the callee's code address
}

// Forwarder checks that the function at entry does nothing but call what the variable at
// key holds. The error wraps [ErrForwarder] and says where it is different.
func Forwarder(img Image, entry, key uint64) error {
	f := forwarder{img: img, at: entry, code: bytesAt(img.Text(), entry)}
	f.bound()
	if err := f.enterFrame(); err != nil {
		return err
	}
	if n, ok := img.ArgBytes(entry); !ok || int64(f.frame) > int64(n) {
		return f.wrong(fmt.Sprintf("the callee is given %d bytes of stack, and callers of this function have %d (results on the stack, or another signature?)", f.frame, n))
	}
	f.spills()
	if !f.load(key) {
		return f.wrong("expected the load of the variable into DX, behind nothing but the entry of the function")
	}
	f.nops()
	if !f.calls() {
		return f.wrong("expected the call of the loaded function, with nothing between (arguments on the stack, or not in order?)")
	}
	return f.leave()
}

func (f *forwarder) wrong(why string) error { return errShape(f.at, f.code, why) }

// skip passes over n bytes.
func (f *forwarder) skip(n int) { f.at, f.code = f.at+uint64(n), f.code[n:] }

// take passes over these bytes if they stand here.
func (f *forwarder) take(bytes ...byte) bool {
	if len(f.code) < len(bytes) || string(f.code[:len(bytes)]) != string(bytes) {
		return false
	}
	f.skip(len(bytes))
	return true
}

// bound passes over the check of the stack bound of a small frame.
func (f *forwarder) bound() {
	if f.take(0x49, 0x3B, 0x66, 0x10) { // CMPQ SP, 16(R14)
		_ = f.branch()
	}
}

// branch passes over JBE.
func (f *forwarder) branch() bool {
	switch {
	case len(f.code) >= 2 && f.code[0] == 0x76:
		f.skip(2)
	case len(f.code) >= 6 && f.code[0] == 0x0F && f.code[1] == 0x86:
		f.skip(6)
	default:
		return false
	}
	return true
}

func (f *forwarder) enterFrame() error {
	if !f.take(0x55) || !f.take(0x48, 0x89, 0xE5) { // PUSHQ BP; MOVQ SP, BP
		return f.wrong("expected the entry of a compiled function with a frame")
	}
	f.frame = f.adjust(0xEC) // SUBQ $n, SP
	return nil
}

// adjust passes over ADDQ or SUBQ of a constant to SP, and returns the constant.
func (f *forwarder) adjust(modrm byte) uint32 {
	switch {
	case len(f.code) >= 4 && f.code[0] == 0x48 && f.code[1] == 0x83 && f.code[2] == modrm:
		n := uint32(int32(int8(f.code[3])))
		f.skip(4)
		return n
	case len(f.code) >= 7 && f.code[0] == 0x48 && f.code[1] == 0x81 && f.code[2] == modrm:
		n := binary.LittleEndian.Uint32(f.code[3:])
		f.skip(7)
		return n
	}
	return 0
}

// nops passes over padding.
func (f *forwarder) nops() {
	for {
		in, err := insn.Decode(f.code)
		if err != nil {
			return
		}
		isNop := in.Map == 0 && in.Op == 0x90 && in.Rex == 0 || in.Map == 1 && in.Op == 0x1F && in.Enc == insn.Legacy
		if !isNop {
			return
		}
		f.skip(int(in.Len))
	}
}

// spills passes over stores of registers to the spill slots that the caller provides:
// above the frame, the saved BP and the return address.
func (f *forwarder) spills() {
	for {
		f.nops()
		in, err := insn.Decode(f.code)
		if err != nil || !f.spill(in) {
			return
		}
		f.skip(int(in.Len))
	}
}

func (f *forwarder) spill(in insn.Inst) bool {
	store := in.Map == 0 && (in.Op == 0x89 || in.Op == 0x88) || // MOV reg to memory
		in.Map == 1 && in.Op == 0x11 // MOVSS, MOVSD, MOVUPS to memory
	const (
		rexWR  = 0x4C // REX.X and REX.B would name other registers than SP
		scalar = insn.Rep | insn.RepNE | insn.OpSize
	)
	if in.Enc != insn.Legacy || !store || in.Rex&^rexWR != 0 || in.Prefixes&^scalar != 0 {
		return false
	}
	// (SP): ModRM rm=100, then a SIB byte of its own.
	if in.ModRM&7 != 4 || in.DispLen == 0 || f.code[in.DispOff-1] != 0x24 {
		return false
	}
	disp := uint32(int32(int8(f.code[in.DispOff])))
	if in.DispLen == 4 {
		disp = binary.LittleEndian.Uint32(f.code[in.DispOff:])
	}
	const above = 8 + 8 // saved BP, return address
	return int32(disp) >= int32(f.frame)+above
}

// load passes over the loads of the variable into DX and of the code address from there.
func (f *forwarder) load(key uint64) bool {
	form, in, ok := insn.Recognize(f.code)
	if !ok || form != insn.MovQuad || in.Reg() != regDX || insn.Target(f.at, in, f.code) != key {
		return false
	}
	f.skip(int(in.Len))
	f.nops()
	// MOVQ (DX), r: REX.W 8B, mod=00 rm=DX.
	in, err := insn.Decode(f.code)
	if err != nil || in.Enc != insn.Legacy || in.Map != 0 || in.Op != 0x8B || in.Rex&^0x04 != 0x48 || in.ModRM&0xC7 != regDX || in.Prefixes != 0 {
		return false
	}
	f.reg = in.Reg()
	f.skip(int(in.Len))
	return true
}

const regDX = 2

// calls passes over the call through the register, or through its thunk.
func (f *forwarder) calls() bool {
	in, err := insn.Decode(f.code)
	if err != nil || in.Enc != insn.Legacy || in.Map != 0 || in.Prefixes != 0 {
		return false
	}
	switch {
	case in.Op == 0xFF && in.ModRM&0xF8 == 0xD0: // FF /2, a register
		if in.ModRM&7|in.Rex&1<<3 != f.reg {
			return false
		}
	case in.Op == 0xE8:
		target := insn.CallTarget(f.at, f.code)
		entry, name, ok := f.img.Func(target)
		if reg, thunk := insn.Thunk(name); !ok || entry != target || !thunk || reg != f.reg {
			return false
		}
	default:
		return false
	}
	f.skip(int(in.Len))
	return true
}

func (f *forwarder) leave() error {
	f.nops()
	if n := f.adjust(0xC4); n != f.frame { // ADDQ $n, SP
		return f.wrong(fmt.Sprintf("expected the end of the frame of %d bytes (something is done with the results?)", f.frame))
	}
	f.nops()
	framed := f.take(0x5D) // POPQ BP
	f.nops()
	if !framed || !f.take(0xC3) { // RET
		return f.wrong("expected the end of the function (something is done with the results?)")
	}
	return nil
}
