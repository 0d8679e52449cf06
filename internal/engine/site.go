package engine

import (
	"encoding/binary"
	"fmt"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/site"
)

// State of a site.
type State uint8

const (
	Memory  State = iota // reads the key's memory; may be armed
	Armed                // ours: holds the value as an immediate, if the value has one
	Refused              // reads memory for good, the reason says why
)

// String returns "memory" or "armed": a refused site reads memory.
func (s State) String() string {
	if s == Armed {
		return "armed"
	}
	return "memory"
}

// Site is one instruction that reads a key. There may be a hundred thousand of
// them, so it is small (TestSiteSize).
type Site struct {
	addr  uintptr
	orig  insn.Code // the compiler's bytes
	conds insn.Conds
	form  insn.Form
	state State
	again bool  // refused for what may pass: Arm tries again
	off   uint8 // of the one byte that a flip changes; of a call 1 if it is careful
	flip  uint8 // in Engine.toggles; 0: not a flip, ask package insn for the bytes
	why   uint32
}

// careful reports whether the call may be led only to what is plain.
func (s *Site) careful() bool { return s.form.Transfers() && s.off != 0 }

func (s *Site) n() int { return int(s.orig.N) }

// covers reports whether the byte at addr belongs to the site.
func (s *Site) covers(addr uintptr) bool { return addr-s.addr < uintptr(s.orig.N) }

// code returns the bytes that stand at an armed site while the key is v: the
// armed form, or the compiler's bytes if v has none.
func (s *Site) code(v int64) insn.Code {
	if c, err := insn.Armed(s.form, s.orig, s.conds, v); err == nil {
		return c
	}
	return s.orig
}

// holds reports whether v has an armed form here.
func (s *Site) holds(v int64) bool {
	_, err := insn.Armed(s.form, s.orig, s.conds, v)
	return err == nil
}

// isFlip reports whether the armed forms of 0 and 1 are all that it has, and differ in
// one byte.
func (s *Site) isFlip() bool { return s.flip != 0 }

// newSite turns what was found into what is patched.
func (e *Engine) newSite(s *site.Site) Site {
	es := Site{addr: uintptr(s.Addr), form: s.Form, orig: s.Code, conds: s.Conds}
	if !s.Patchable() {
		es.state, es.why = Refused, e.reasonNumber(s.Why)
		return es
	}
	if s.Careful || s.Form.Transfers() && e.img.Wrapper(s.Entry) {
		es.off = 1
	}
	if s.Form.Width() != 1 {
		return es
	}
	zero, err0 := insn.Armed(s.Form, s.Code, s.Conds, 0)
	one, err1 := insn.Armed(s.Form, s.Code, s.Conds, 1)
	if off, n := insn.Diff(zero, one); err0 == nil && err1 == nil && n == 1 {
		es.off, es.flip = uint8(off), e.toggles.number(zero, one, off)
	}
	return es
}

// reasonNumber keeps each reason once: thousands of sites may share it.
func (e *Engine) reasonNumber(why string) uint32 {
	if why == "" {
		return 0
	}
	n, ok := e.reasonOf[why]
	if !ok {
		if e.reasonOf == nil {
			e.reasonOf, e.reasons = map[string]uint32{}, []string{""}
		}
		n = uint32(len(e.reasons))
		e.reasonOf[why], e.reasons = n, append(e.reasons, why)
	}
	return n
}

// whyOf says why the site reads memory, "" if it does not, or may be armed.
func (e *Engine) whyOf(k *Key, s *Site) string {
	switch {
	case s.state == Refused:
		return e.reasons[s.why]
	case s.state == Armed && s.form.Transfers() && k.code(s, k.shown) == s.orig:
		return k.callees.whyNot(k.shown)
	case s.state == Armed && !s.form.Transfers() && !s.holds(k.shown):
		return fmt.Sprintf("the value %d has no place in this instruction", k.shown)
	}
	return ""
}

// word packs the first eight bytes of an instruction, the first one lowest.
func word(c insn.Code) uint64 { return binary.LittleEndian.Uint64(c.B[:]) }

// part returns n bytes (1 to 8) of an instruction from off on.
func part(c *insn.Code, off, n int) uint64 {
	var w uint64
	for i := range n {
		w |= uint64(c.B[off+i]) << (8 * i)
	}
	return w
}
