package stub

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// registers are those that a callee's address may be in.
var registers = []uint8{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15}

// shapes returns Dispatches of every form: registers, numbers of targets below and
// above 2^31, ways to count.
func shapes() (all []*Dispatch) {
	counts := []*Count{
		nil,
		{Table: 0x500000, CPUs: 1},
		{Table: 0x7f0000000000, CPUs: 128},
		{Table: 0xffffffffff000000, CPUs: 256, RDPID: true},
	}
	for _, reg := range registers {
		for n := range MaxTargets + 1 {
			for _, base := range []uint64{0x401000, 0x7fffd000, 0x80001000} {
				for _, c := range counts {
					d := &Dispatch{Reg: reg, Miss: 0x403080, Count: c}
					for i := range n {
						d.Targets = append(d.Targets, base+uint64(i)*0x1000)
					}
					all = append(all, d)
				}
			}
		}
	}
	return append(all, &Dispatch{
		Reg: 7, Targets: all[len(all)-1].Targets, Miss: 0x402000, Count: &Count{Table: 1 << 47, CPUs: MaxCPUs},
	})
}

// TestShapes: every form has the instructions, exits and effects that it should.
func TestShapes(t *testing.T) {
	all := shapes()
	for i, d := range all {
		t.Run(fmt.Sprintf("%d-reg%d-targets%d", i, d.Reg, len(d.Targets)), func(t *testing.T) {
			inspect(t, mustCode(t, d, 0x600000), 0x600000, d)
			behave(t, d, 0x600000, rand.New(rand.NewPCG(1, uint64(i))))
		})
	}
	if len(all) != 14*7*3*4+1 {
		t.Errorf("%d shapes", len(all))
	}
}

// behave runs calls of targets and of others through the stub, on random CPUs, and
// compares every step with the model.
func behave(t testing.TB, d *Dispatch, at uint64, rnd *rand.Rand) {
	t.Helper()
	code := mustCode(t, d, at)
	tmp, line := d.scratch()
	n := 1
	m := &machine{}
	if d.Count != nil { // without, the line that the model gets stays empty
		n = int(d.Count.CPUs)
		m.table = d.Count.Table
	}
	want := make([]Line, n)
	fill(want, d, rnd)
	m.setLines(want)
	callees := callees(d, rnd)
	for range 12 + 4*len(callees) {
		v := callees[rnd.IntN(len(callees))]
		m.cpu, m.noSeg = uint64(rnd.Uint32()), rnd.IntN(8) == 0 // 20 bits of them exist
		for i := range m.reg {
			m.reg[i] = rnd.Uint64()
		}
		m.reg[d.Reg] = v
		m.known = false
		before := m.reg
		cpu := m.cpu
		if m.noSeg && d.Count != nil && !d.Count.RDPID {
			cpu = 0x7B
		}
		l := &want[cpu&uint64(n-1)]
		if exit, exp := m.run(t, code, at), model(d, v, l); exit != exp {
			t.Fatalf("%+v at %#x: a call of %#x goes to %#x, want %#x", d, at, v, exit, exp)
		}
		before[tmp], before[line] = m.reg[tmp], m.reg[line]
		if m.reg != before {
			t.Fatalf("%+v at %#x: registers %#x, want %#x", d, at, m.reg, before)
		}
		if got := m.line(cpu & uint64(n-1)); d.Count != nil && got != *l {
			t.Fatalf("%+v at %#x: line %+v, want %+v", d, at, got, *l)
		}
	}
	end := &machine{}
	if end.setLines(want); !bytes.Equal(m.mem, end.mem) {
		t.Fatalf("%+v at %#x: other lines were changed than that of the CPU", d, at)
	}
}

// callees returns the targets, more others than there are slots, and some that
// differ from a target in one bit.
func callees(d *Dispatch, rnd *rand.Rand) []uint64 {
	out := slices.Clone(d.Targets)
	for range Slots + 2 {
		out = append(out, rnd.Uint64()|1, uint64(rnd.Uint32()|1))
	}
	for _, t := range d.Targets {
		if v := t ^ 1<<rnd.IntN(64); v != 0 {
			out = append(out, v)
		}
		out = append(out, uint64(int64(int32(uint32(t))))|1<<63) // as if sign-extended
	}
	return out
}

// fill gives some lines counts from before, with holes among the slots, and counts
// about to overflow.
func fill(lines []Line, d *Dispatch, rnd *rand.Rand) {
	if d.Count == nil {
		return
	}
	for i := range lines {
		if rnd.IntN(2) == 0 {
			continue
		}
		for s := range lines[i].Target {
			if rnd.IntN(2) == 0 {
				lines[i].Target[s], lines[i].Miss[s] = rnd.Uint64()|1, rnd.Uint32()
			}
		}
		lines[i].CatchAll = -uint32(rnd.IntN(3))
		for h := range d.Targets {
			lines[i].Hit[h] = -uint32(rnd.IntN(3))
		}
	}
}

// TestSlots is the story of one line: first come, first served.
func TestSlots(t *testing.T) {
	d := &Dispatch{Reg: 0, Targets: []uint64{0x401000}, Miss: 0x402000, Count: &Count{Table: 0x500000, CPUs: 1}}
	code := mustCode(t, d, 0x600000)
	m := &machine{table: 0x500000, mem: make([]byte, LineSize)}
	call := func(v uint64, times int) {
		for range times {
			m.reg[0] = v
			m.run(t, code, 0x600000)
		}
	}
	call(0xA, 3)
	call(0xB, 1)
	call(0x401000, 7)
	call(0xC, 1)
	call(0xA, 2)
	call(0xD, 4)
	call(0xE, 5) // no slot is left
	call(0xF, 6)
	call(0xD, 1)
	want := Line{
		Target:   [4]uint64{0xA, 0xB, 0xC, 0xD},
		Miss:     [4]uint32{5, 1, 1, 5},
		CatchAll: 11,
		Hit:      [6]uint32{7},
	}
	if got := m.line(0); got != want {
		t.Errorf("line %+v, want %+v", got, want)
	}
}

// FuzzDispatch: whatever goes in, there is no panic, and what comes out decodes,
// has its length and behaves.
func FuzzDispatch(f *testing.F) {
	f.Add(uint64(0x600000), uint64(0x500000), uint64(0x100000), uint64(1), uint32(4), uint8(0), uint8(2), uint8(1))
	f.Add(uint64(0x80000000), uint64(0x7f0000000000), uint64(0x1000), uint64(2), uint32(256), uint8(12), uint8(6), uint8(3))
	f.Add(uint64(0x7f0000000000), uint64(0), uint64(1<<31), uint64(3), uint32(0), uint8(13), uint8(3), uint8(0))
	f.Add(uint64(1<<64-200), uint64(1<<63), uint64(1<<12), uint64(4), uint32(4096), uint8(15), uint8(5), uint8(1))
	f.Fuzz(func(t *testing.T, at, table, spread, seed uint64, cpus uint32, reg, n, how uint8) {
		rnd := rand.New(rand.NewPCG(seed, spread))
		near := func() uint64 {
			if spread == 0 {
				return at
			}
			return at - spread/2 + rnd.Uint64N(spread)
		}
		d := &Dispatch{Reg: reg, Miss: near()}
		for range n % 16 {
			d.Targets = append(d.Targets, near())
		}
		if how&1 != 0 {
			d.Count = &Count{Table: table, CPUs: cpus, RDPID: how&2 != 0}
		}
		code, err := d.Code(at)
		if err != nil {
			if code != nil {
				t.Errorf("code with the error %v", err)
			}
			return
		}
		if len(code) != d.Len() {
			t.Errorf("%+v at %#x: %d bytes, Len says %d", d, at, len(code), d.Len())
		}
		if slices.ContainsFunc(append([]uint64{d.Miss}, d.Targets...), func(a uint64) bool { return a-at < uint64(len(code)) }) {
			return // a target inside the stub: only a fuzzer has that
		}
		inspect(t, code, at, d)
		behave(t, d, at, rnd)
	})
}
