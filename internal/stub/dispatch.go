package stub

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Dispatch is a stub that stands for a retpoline: it compares the callee's address
// with that of each target and jumps to the one that it is.
type Dispatch struct {
	Reg     uint8    // hardware number of the register with the callee's address
	Targets []uint64 // at most MaxTargets, compared in this order
	Miss    uint64   // the retpoline, entered when no target matches
	Count   *Count   // nil: nothing is counted
}

// Count says where a stub counts.
type Count struct {
	Table uint64 // address of the first Line, a multiple of LineSize
	CPUs  uint32 // number of lines, a power of two; more CPUs than lines share them
	RDPID bool   // the CPU has RDPID (CPUID.7.0:ECX[22]); else LSL serves
}

// cpuNodeSeg is __CPUNODE_SEG, GDT_ENTRY_CPUNODE*8 + 3: the limit of this segment
// is the number of the CPU with that of the node above (vdso_read_cpunode in
// arch/x86/include/asm/segment.h). Where there is no such segment LSL leaves the
// register alone, and all CPUs count into the line that it happens to name.
const cpuNodeSeg = 0x7B

// Code returns the code of the stub, to be placed at the address at.
func (d *Dispatch) Code(at uint64) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	a := d.assemble(at)
	if a.err != nil {
		return nil, a.err
	}
	return a.code, nil
}

// Len returns the length of what Code returns, which is the same for all
// addresses. It is 0 for a Dispatch that Code refuses at any address.
func (d *Dispatch) Len() int {
	if d.check() != nil {
		return 0
	}
	return len(d.assemble(0).code)
}

func (d *Dispatch) check() error {
	if d == nil {
		return fmt.Errorf("stub: no Dispatch; describe the stub with one")
	}
	if d.Reg >= uint8(len(registerNames)) {
		return fmt.Errorf("stub: register %d of %d: there is none; use the number that Thunk returns", d.Reg, len(registerNames))
	}
	if d.Reg == regSP || d.Reg == regR14 {
		return fmt.Errorf("stub: the callee's address cannot be in %s, that is the stack or the goroutine; leave the call alone",
			registerNames[d.Reg])
	}
	if len(d.Targets) > MaxTargets {
		return fmt.Errorf("stub: %d targets, at most %d are allowed; keep the most popular ones", len(d.Targets), MaxTargets)
	}
	for i, t := range d.Targets {
		if j := slices.Index(d.Targets[:i], t); j >= 0 {
			return fmt.Errorf("stub: targets %d and %d are both %#x; name each once", j, i, t)
		}
	}
	if d.Miss == 0 || slices.Contains(d.Targets, 0) {
		return fmt.Errorf("stub: jump to address 0 (targets %#x, miss %#x); name addresses of code", d.Targets, d.Miss)
	}
	if d.Count != nil {
		return d.Count.check()
	}
	return nil
}

func (c *Count) check() error {
	if c.CPUs > MaxCPUs || bits.OnesCount32(c.CPUs) != 1 {
		return fmt.Errorf("stub: a table of %d lines: want a power of two, at most %d", c.CPUs, MaxCPUs)
	}
	if c.Table%LineSize != 0 {
		return fmt.Errorf("stub: the table at %#x is not aligned; align it to %d bytes, so that no two CPUs share a cache line",
			c.Table, LineSize)
	}
	if size := uint64(c.CPUs) * LineSize; c.Table == 0 || c.Table > math.MaxUint64-size {
		return fmt.Errorf("stub: no room for a table of %#x bytes at %#x; name the address of its first line", size, c.Table)
	}
	return nil
}

// scratch returns two registers that are free at a call and not the callee's. The
// line is never R12: as a base that would take a SIB byte more (SDM vol. 2, table 2-5).
func (d *Dispatch) scratch() (tmp, line uint8) {
	switch d.Reg {
	case regR12:
		return regR15, regR13
	case regR13:
		return regR12, regR15
	}
	return regR12, regR13
}

// assemble goes on after a jump that does not reach, so that the length is known.
func (d *Dispatch) assemble(at uint64) *assembler {
	a := &assembler{at: at}
	tmp, line := d.scratch()
	if d.Count == nil {
		for _, t := range d.Targets {
			a.compare(d.Reg, t, tmp)
			a.jcc(condE, t)
		}
		a.jmp(d.Miss)
		return a
	}
	d.Count.findLine(a, tmp, line)
	for i, t := range d.Targets {
		a.compare(d.Reg, t, tmp)
		other := a.jccShort(condNE)
		a.inc(line, LineHit+4*uint8(i))
		a.jmp(t)
		a.land(other)
	}
	d.countMiss(a, line)
	return a
}

// compare compares reg with an address. Below 2^31 an immediate holds it, as in a
// program that is not position-independent; above the compare needs a register.
func (a *assembler) compare(reg uint8, target uint64, tmp uint8) {
	if target <= math.MaxInt32 {
		a.cmpImm(reg, int32(target))
		return
	}
	a.lea(tmp, target)
	a.cmp(reg, tmp)
}

// findLine loads the address of this CPU's line. Whatever the number of the CPU
// is, the mask keeps it inside the table.
func (c *Count) findLine(a *assembler, tmp, line uint8) {
	if c.RDPID {
		a.rdpid(tmp)
	} else {
		a.movImm(tmp, cpuNodeSeg)
		a.lsl(tmp)
	}
	a.andImm(tmp, c.CPUs-1)
	a.shlImm(tmp, lineShift)
	a.movImm(line, c.Table)
	a.add(line, tmp)
}

// countMiss counts a callee that is none of the targets: in its slot, else in the
// first free one, else in the catch-all.
func (d *Dispatch) countMiss(a *assembler, line uint8) {
	var same, free [Slots]int
	for i := range same {
		a.cmpMem(line, slot(i), d.Reg)
		same[i] = a.jccShort(condE)
	}
	for i := range free {
		a.cmpMemZero(line, slot(i))
		free[i] = a.jccShort(condE)
	}
	a.inc(line, LineCatchAll)
	a.jmp(d.Miss)
	for i := range free {
		a.land(free[i])
		a.store(d.Reg, line, slot(i))
		a.land(same[i])
		a.inc(line, LineMiss+4*uint8(i))
		a.jmp(d.Miss)
	}
}

func slot(i int) uint8 { return LineTarget + 8*uint8(i) }
