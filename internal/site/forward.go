package site

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// ErrForwarder: a function is not the forwarder of a static call.
var ErrForwarder = errors.New("not a forwarder (expected one statement, return x.Func()(the function's own arguments, in order), and //go:noinline; built without -pgo's devirtualization, -cover, -N)")

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
//	CMPQ 16(R14), SP; JLS more	the stack bound
//	PUSHQ BP; MOVQ SP, BP; [SUBQ $frame, SP]
//	[MOVQ AX, 40(SP) ...]	arguments to their own spill slots, above the frame
//	MOVQ sum(SB), DX	the variable: the closure
//	MOVQ (DX), r	its code
//	CALL r	or CALL runtime.retpolineR
//	[ADDQ $frame, SP]; POPQ BP; RET
//	more:
//	[MOVQ AX, 8(SP) ...]	all arguments, to their spill slots
//	CALL runtime.morestack_noctxt
//	...
//
// Any other instruction, a move between registers above all, makes it something else.
//
// The way to morestack shows where the spill slots are, and of which registers. They must
// begin where the callers' room for the function begins and take all of it: then it has
// neither arguments nor results on the stack. A store may go to a slot of its own register
// only; anywhere else it would be a result, or an argument of the callee.
//
// The frame is what the callee is given on the stack: slots to spill its arguments to, and
// results that do not fit into registers. It must be what the callers have, or the callee
// would write into their variables: so it would be for a forwarder that drops results, or
// passes an argument as part of a struct.
type forwarder struct {
	img   Image
	at    uint64
	code  []byte
	frame uint32
	reg   uint8 // that holds the callee's code address
	more  uint64
	slots []slot
}

// slot is where a register is spilled, counted from where the callers' room begins.
type slot struct {
	off  int32
	reg  uint8 // general registers 0 to 15, then X0 to X15
	size uint8
}

// Forwarder checks that the function at entry does nothing but call what the variable at
// key holds. The error wraps [ErrForwarder] and says where it is different.
func Forwarder(img Image, entry, key uint64) error {
	f := forwarder{img: img, at: entry, code: bytesAt(img.Text(), entry)}
	if !f.bound() {
		return f.wrong("expected a check of the stack's bound (nosplit, or a large frame?)")
	}
	if err := f.enterFrame(); err != nil {
		return err
	}
	if err := f.room(entry); err != nil {
		return err
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
func (f *forwarder) bound() bool {
	return f.take(0x49, 0x3B, 0x66, 0x10) && f.branch() // CMPQ SP, 16(R14)
}

// room compares what the callee is given on the stack with what the callers have.
func (f *forwarder) room(entry uint64) error {
	more := forwarder{img: f.img, at: f.more, code: bytesAt(f.img.Text(), f.more)}
	if !more.moreStack() {
		return more.wrong("expected the arguments' spill slots, and the call of morestack")
	}
	f.slots = more.slots
	n, ok := f.img.ArgBytes(entry)
	var low, high int32
	for i, s := range f.slots {
		if i == 0 || s.off < low {
			low = s.off
		}
		high = max(high, s.off+int32(s.size))
	}
	if high = (high + 7) &^ 7; !ok || low != 0 || int64(high) != int64(n) {
		return f.wrong(fmt.Sprintf("the spill slots are bytes %d to %d of the %d that callers have on the stack: expected all of them (arguments or results on the stack?)", low, high, n))
	}
	if int64(f.frame) != int64(n) {
		return f.wrong(fmt.Sprintf("the callee is given %d bytes of stack, and callers of this function have %d (results on the stack, or another signature?)", f.frame, n))
	}
	return nil
}

// moreStackName grows the stack of a function that is no closure.
const moreStackName = "runtime.morestack_noctxt"

// moreStack notes the spill slots on the way to morestack.
func (f *forwarder) moreStack() bool {
	const returnAddress = 8 // SP is as the caller's CALL left it
	for {
		f.nops()
		in, err := insn.Decode(f.code)
		if err != nil {
			return false
		}
		s, ok := f.stored(in, returnAddress)
		if !ok {
			break
		}
		f.slots = append(f.slots, s)
		f.skip(int(in.Len))
	}
	if form, ok := insn.RecognizeCall(f.code); !ok || form != insn.CallRel {
		return false
	}
	_, name, ok := f.img.Func(insn.CallTarget(f.at, f.code))
	return ok && name == moreStackName
}

// branch passes over JBE.
func (f *forwarder) branch() bool {
	switch {
	case len(f.code) >= 2 && f.code[0] == 0x76:
		f.more = f.at + 2 + uint64(int64(int8(f.code[1])))
		f.skip(2)
	case len(f.code) >= 6 && f.code[0] == 0x0F && f.code[1] == 0x86:
		f.more = f.at + 6 + uint64(int64(int32(binary.LittleEndian.Uint32(f.code[2:]))))
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

// spills passes over stores of registers to their own spill slots.
func (f *forwarder) spills() {
	const above = 8 + 8 // saved BP, return address
	for {
		f.nops()
		in, err := insn.Decode(f.code)
		if err != nil {
			return
		}
		if s, ok := f.stored(in, int32(f.frame)+above); !ok || !slices.Contains(f.slots, s) {
			return
		}
		f.skip(int(in.Len))
	}
}

// stored says which register the instruction at hand stores, and where, if it is such a store
// relative to SP; base is where the callers' room begins.
func (f *forwarder) stored(in insn.Inst, base int32) (slot, bool) {
	const rexWR = 0x4C // REX.X and REX.B would name other registers than SP
	if in.Enc != insn.Legacy || in.Rex&^rexWR != 0 {
		return slot{}, false
	}
	// (SP): ModRM rm=100, then a SIB byte of its own.
	if in.ModRM&7 != 4 || in.DispLen == 0 || f.code[in.DispOff-1] != 0x24 {
		return slot{}, false
	}
	s := slot{reg: in.Reg(), size: storeSize(in)}
	if in.Map == 1 {
		s.reg += 16
	}
	disp := int32(int8(f.code[in.DispOff]))
	if in.DispLen == 4 {
		disp = int32(binary.LittleEndian.Uint32(f.code[in.DispOff:]))
	}
	s.off = disp - base
	return s, s.size != 0
}

// storeSize returns how many bytes of a register the instruction stores, 0 if it is no
// store of an argument's register.
func storeSize(in insn.Inst) uint8 {
	switch {
	case in.Map == 0 && in.Op == 0x89 && in.Rex&0x08 != 0 && in.Prefixes == 0: // MOVQ
		return 8
	case in.Map == 0 && in.Op == 0x89 && in.Prefixes == 0: // MOVL
		return 4
	case in.Map == 0 && in.Op == 0x89 && in.Rex&0x08 == 0 && in.Prefixes == insn.OpSize: // MOVW
		return 2
	case in.Map == 0 && in.Op == 0x88 && in.Prefixes == 0: // MOVB
		return 1
	case in.Map == 1 && in.Op == 0x11 && in.Prefixes == insn.RepNE: // MOVSD
		return 8
	case in.Map == 1 && in.Op == 0x11 && in.Prefixes == insn.Rep: // MOVSS
		return 4
	}
	return 0
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
