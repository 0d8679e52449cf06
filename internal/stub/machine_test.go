package stub

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// This file has a machine for the instructions of stubs, so that what they do is
// tested on every system, and the rules of counting once more, in Go.

// model says what a Dispatch has to do: where it goes when v is called, and what it
// writes to the line.
func model(d *Dispatch, v uint64, l *Line) uint64 {
	if i := slices.Index(d.Targets, v); i >= 0 {
		if d.Count != nil {
			l.Hit[i]++
		}
		return v
	}
	if d.Count == nil {
		return d.Miss
	}
	i := slices.Index(l.Target[:], v)
	if i < 0 {
		i = slices.Index(l.Target[:], 0)
	}
	if i < 0 {
		l.CatchAll++
		return d.Miss
	}
	l.Target[i] = v
	l.Miss[i]++
	return d.Miss
}

// decode decodes the instruction at the start of code. x86asm does not know RDPID.
func decode(t testing.TB, code []byte, pc uint64) x86asm.Inst {
	if len(code) >= 5 && code[0] == 0xF3 && code[1] == 0x41 && code[2] == 0x0F && code[3] == 0xC7 && code[4]&0xF8 == 0xF8 {
		return x86asm.Inst{Op: opRDPID, Args: x86asm.Args{x86asm.R8 + x86asm.Reg(code[4]&7)}, Len: 5}
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Prefix[0] != 0 && in.Prefix[0]&0xF0 != x86asm.PrefixREX {
		t.Fatalf("%#x: no instruction of a stub in [% X]: %v %v", pc, code[:min(len(code), 10)], in, err)
	}
	return in
}

const opRDPID = x86asm.Op(0xFFFF)

// gpr returns the hardware number and the width of a register.
func gpr(t testing.TB, r x86asm.Reg) (n int, wide bool) {
	switch {
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), false
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	}
	t.Fatalf("register %v in a stub", r)
	return 0, false
}

// inspect decodes all of a stub, from the first byte to the last, and reports what
// no stub may contain: another opcode, a write to another register or to memory
// that is no Line, a jump to anywhere but an instruction of the stub, a target or
// the miss, an end that does not jump.
func inspect(t testing.TB, code []byte, at uint64, d *Dispatch) {
	t.Helper()
	tmp, line := d.scratch()
	if tmp == line || tmp == d.Reg || line == d.Reg || !slices.Contains([]uint8{12, 13, 15}, tmp) || !slices.Contains([]uint8{13, 15}, line) {
		t.Fatalf("scratch registers %d and %d for register %d", tmp, line, d.Reg)
	}
	var starts, inner, exits []uint64
	var last x86asm.Op
	for off := 0; off < len(code); {
		pc := at + uint64(off)
		in := decode(t, code[off:], pc)
		starts = append(starts, pc)
		last = in.Op
		next := pc + uint64(in.Len)
		switch in.Op {
		case x86asm.JE, x86asm.JNE, x86asm.JMP:
			rel, ok := in.Args[0].(x86asm.Rel)
			if !ok {
				t.Fatalf("%#x: %v is an indirect jump", pc, in)
			}
			if target := next + uint64(int64(rel)); target-at < uint64(len(code)) {
				inner = append(inner, target)
			} else {
				exits = append(exits, target)
			}
		case x86asm.CMP: // changes flags only
		case x86asm.MOV, x86asm.LEA, x86asm.INC, x86asm.AND, x86asm.SHL, x86asm.ADD, x86asm.LSL, opRDPID:
			inspectWrite(t, in, pc, d, tmp, line)
		default:
			t.Errorf("%#x: %v has no place in a stub", pc, in)
		}
		off += in.Len
	}
	if last != x86asm.JMP {
		t.Errorf("the stub at %#x ends in %v: [% X]", at, last, code)
	}
	for _, a := range inner {
		if !slices.Contains(starts, a) {
			t.Errorf("a jump inside the stub at %#x goes to %#x, which begins no instruction", at, a)
		}
	}
	checkExits(t, exits, d)
}

func inspectWrite(t testing.TB, in x86asm.Inst, pc uint64, d *Dispatch, tmp, line uint8) {
	switch dst := in.Args[0].(type) {
	case x86asm.Reg:
		if n, _ := gpr(t, dst); n != int(tmp) && n != int(line) {
			t.Errorf("%#x: %v changes %v, which is not scratch", pc, in, dst)
		}
	case x86asm.Mem:
		n, _ := gpr(t, dst.Base)
		end := dst.Disp + int64(in.MemBytes)
		if d.Count == nil || n != int(line) || dst.Index != 0 || dst.Segment != 0 || dst.Disp < 0 || end > LineHit+4*MaxTargets {
			t.Errorf("%#x: %v writes to other memory than a line", pc, in)
		}
	default:
		t.Errorf("%#x: %v has the destination %v", pc, in, dst)
	}
}

// checkExits: each target has its one exit, in order, and all others go to the miss.
func checkExits(t testing.TB, exits []uint64, d *Dispatch) {
	t.Helper()
	misses := 1
	if d.Count != nil {
		misses = 1 + Slots
	}
	want := slices.Concat(d.Targets, slices.Repeat([]uint64{d.Miss}, misses))
	if !slices.Equal(exits, want) {
		t.Errorf("exits to %#x, want %#x", exits, want)
	}
}

// machine runs stubs.
type machine struct {
	reg   [16]uint64
	cpu   uint64 // what RDPID gives, and LSL
	noSeg bool   // there is no CPU number segment
	table uint64
	mem   []byte // the lines
	zf    bool
	known bool // zf is what a CMP left
}

// run returns the first address outside of the code.
func (m *machine) run(t testing.TB, code []byte, at uint64) uint64 {
	t.Helper()
	pc := at
	for range 64 {
		off := pc - at
		if off >= uint64(len(code)) {
			return pc
		}
		in := decode(t, code[off:], pc)
		pc += uint64(in.Len)
		switch in.Op {
		case x86asm.JMP:
			pc += m.rel(in)
		case x86asm.JE, x86asm.JNE:
			if !m.known {
				t.Fatalf("%v at %#x after no compare", in, pc)
			}
			if m.zf == (in.Op == x86asm.JE) {
				pc += m.rel(in)
			}
		default:
			m.step(t, in, pc)
		}
	}
	t.Fatalf("the stub at %#x runs in circles: [% X]", at, code)
	return 0
}

func (m *machine) rel(in x86asm.Inst) uint64 {
	r, _ := in.Args[0].(x86asm.Rel)
	return uint64(int64(r))
}

// step runs an instruction that does not jump; pc is that of the next.
func (m *machine) step(t testing.TB, in x86asm.Inst, pc uint64) {
	if in.Op == x86asm.CMP {
		m.zf, m.known = m.get(t, in, 0, pc) == m.get(t, in, 1, pc), true
		return
	}
	m.known = in.Op == x86asm.MOV && m.known
	switch in.Op {
	case x86asm.MOV:
		m.set(t, in, m.get(t, in, 1, pc))
	case x86asm.LEA:
		m.set(t, in, m.address(t, in.Args[1].(x86asm.Mem), pc))
	case x86asm.AND:
		m.set(t, in, m.get(t, in, 0, pc)&m.get(t, in, 1, pc))
	case x86asm.ADD:
		m.set(t, in, m.get(t, in, 0, pc)+m.get(t, in, 1, pc))
	case x86asm.SHL:
		m.set(t, in, m.get(t, in, 0, pc)<<m.get(t, in, 1, pc))
	case x86asm.INC:
		m.set(t, in, m.get(t, in, 0, pc)+1)
	case x86asm.LSL:
		if m.get(t, in, 1, pc) != 0x7B {
			t.Fatalf("LSL of %#x", m.get(t, in, 1, pc))
		}
		if !m.noSeg {
			m.set(t, in, m.cpu)
		}
	case opRDPID:
		m.set(t, in, m.cpu)
	default:
		t.Fatalf("no such instruction in a stub: %v", in)
	}
}

func (m *machine) address(t testing.TB, a x86asm.Mem, pc uint64) uint64 {
	if a.Base == x86asm.RIP { // x86asm does not extend the sign of this one
		return pc + uint64(int32(a.Disp))
	}
	n, _ := gpr(t, a.Base)
	return m.reg[n] + uint64(a.Disp)
}

// at returns the memory at an address, all of which is lines.
func (m *machine) at(t testing.TB, a x86asm.Mem, pc uint64, n int) []byte {
	addr := m.address(t, a, pc)
	off := addr - m.table
	if off > uint64(len(m.mem)) || uint64(len(m.mem))-off < uint64(n) || off%uint64(n) != 0 {
		t.Fatalf("memory at %#x is used, the table is at %#x, %#x bytes", addr, m.table, len(m.mem))
	}
	return m.mem[off:][:n]
}

func (m *machine) get(t testing.TB, in x86asm.Inst, i int, pc uint64) uint64 {
	switch a := in.Args[i].(type) {
	case x86asm.Imm:
		return uint64(a)
	case x86asm.Reg:
		n, wide := gpr(t, a)
		if wide {
			return m.reg[n]
		}
		return uint64(uint32(m.reg[n]))
	case x86asm.Mem:
		if in.MemBytes == 4 {
			return uint64(binary.LittleEndian.Uint32(m.at(t, a, pc, 4)))
		}
		return binary.LittleEndian.Uint64(m.at(t, a, pc, 8))
	}
	t.Fatalf("operand %v of %v", in.Args[i], in)
	return 0
}

func (m *machine) set(t testing.TB, in x86asm.Inst, v uint64) {
	switch a := in.Args[0].(type) {
	case x86asm.Reg:
		n, wide := gpr(t, a)
		if !wide {
			v = uint64(uint32(v))
		}
		m.reg[n] = v
	case x86asm.Mem:
		if in.MemBytes == 4 {
			binary.LittleEndian.PutUint32(m.at(t, a, 0, 4), uint32(v))
			return
		}
		binary.LittleEndian.PutUint64(m.at(t, a, 0, 8), v)
	}
}

// line and setLines convert the table of a machine.
func (m *machine) line(i uint64) (l Line) {
	le, b := binary.LittleEndian, m.mem[i*LineSize:][:LineSize]
	for s := range Slots {
		l.Target[s] = le.Uint64(b[8*s:])
		l.Miss[s] = le.Uint32(b[32+4*s:])
	}
	l.CatchAll = le.Uint32(b[48:])
	for h := range MaxTargets {
		l.Hit[h] = le.Uint32(b[52+4*h:])
	}
	return l
}

func (m *machine) setLines(lines []Line) {
	le := binary.LittleEndian
	m.mem = make([]byte, len(lines)*LineSize)
	for i, l := range lines {
		b := m.mem[i*LineSize:]
		for s := range Slots {
			le.PutUint64(b[8*s:], l.Target[s])
			le.PutUint32(b[32+4*s:], l.Miss[s])
		}
		le.PutUint32(b[48:], l.CatchAll)
		for h := range MaxTargets {
			le.PutUint32(b[52+4*h:], l.Hit[h])
		}
	}
}
