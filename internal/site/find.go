package site

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// Find returns every instruction that reads one of the keys, sorted by address.
func Find(img Image, keys []Key) []Site {
	cands := scan(img.Text(), keys)
	c := confirmer{keys: keys, found: make([]Site, 0, len(cands.disps))}
	Walk(img, cands.disps, func(i int, w *Walker) {
		c.Walker = w
		c.confirm(cands.disps[i], int(cands.keys[i]))
	})
	if !slices.IsSortedFunc(c.found, byAddr) { // functions overlap: no linker's work
		slices.SortFunc(c.found, byAddr)
	}
	return slices.CompactFunc(c.found, func(a, b Site) bool { return a.Addr == b.Addr })
}

func byAddr(a, b Site) int { return cmp.Compare(a.Addr, b.Addr) }

// confirmer is pass 2.
type confirmer struct {
	*Walker
	keys  []Key
	found []Site
}

// confirm keeps the candidate if the instruction at hand owns the displacement.
func (c *confirmer) confirm(disp uint64, key int) {
	s := Site{Addr: disp, Key: key, Entry: c.Entry, Func: c.Func}
	if c.Err != nil {
		s.Why = c.Err.Error()
		c.found = append(c.found, s)
		return
	}
	code := c.Code(c.Addr)
	if c.Addr+uint64(c.Inst.DispOff) != disp || !c.Inst.RIPRelative() ||
		insn.Target(c.Addr, c.Inst, code) != c.keys[key].Addr || !reads(c.Inst) {
		return // bytes that look alike by chance, or no read
	}
	s.Addr = c.Addr
	c.judge(&s, code)
	c.found = append(c.found, s)
}

// reads reports whether an instruction with a memory operand reads it: LEA
// takes the address only, and the plain moves to memory only write.
func reads(in insn.Inst) bool {
	if in.Enc != insn.Legacy || in.Map != 0 {
		return true
	}
	switch in.Op {
	case 0x8D, // LEA
		0x88, 0x89, // MOV reg to memory
		0xC6, 0xC7: // MOV imm to memory
		return false
	}
	return true
}

// judge decides whether the confirmed instruction may be replaced.
func (c *confirmer) judge(s *Site, code []byte) {
	in := c.Inst
	form := insn.RecognizeInst(in, code)
	if form == insn.FormNone || form.Width() != c.keys[s.Key].Width {
		s.Why = fmt.Sprintf("no immediate form for this instruction (% x)", code[:in.Len])
		return
	}
	s.Form, s.Code.N = form, in.Len
	copy(s.Code.B[:], code[:in.Len])
	if !c.Inside(s.Addr + uint64(in.Len) - 1) {
		// No compiler's work. Where functions overlap, so may sites.
		s.Why = "the function ends inside of the instruction"
		return
	}
	if s.Why = c.Forbidden(); s.Why != "" {
		return
	}
	if form.Compares() {
		if s.Conds, s.Why = c.flagReaders(s.Addr + uint64(in.Len)); s.Why != "" {
			return
		}
	}
	// A value that has no armed form is no reason: others may have one.
	if _, err := insn.Armed(form, s.Code, s.Conds, 0); err != nil && !errors.Is(err, insn.ErrNoImmediate) {
		s.Why = err.Error()
	}
}
