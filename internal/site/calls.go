package site

import (
	"fmt"
	"slices"
	"strings"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// FindCalls returns every direct call of one of the callees, and every jump of the
// same length to one from another function, sorted by address. Key is the index of the
// callee. Only functions that pick wants are looked at (nil: all).
func FindCalls(img Image, callees []uint64, pick func(fn string) bool) []Site {
	at, key := scanCalls(img.Text(), callees)
	var found []Site
	Walk(img, at, func(i int, w *Walker) {
		callee := callees[key[i]]
		if w.Entry == callee || pick != nil && !pick(w.Func) {
			return // a loop of the callee itself
		}
		if s, ok := callAt(w, at[i]); ok {
			s.Key = int(key[i])
			found = append(found, s)
		}
	})
	Sort(found)
	return found
}

// Sort sorts sites by address.
func Sort(sites []Site) { slices.SortFunc(sites, byAddr) }

// initializer reports whether the function is one that the compiler made to give
// package-level variables their values: under the garbage collector's barrier it reads
// what it overwrites.
func initializer(fn string) bool { return strings.HasSuffix(fn, ".init") }

// scanCalls lists the places that look like a direct call or jump to a callee, ascending,
// and to which.
func scanCalls(segs []Segment, callees []uint64) (at []uint64, key []int32) {
	if len(callees) == 0 {
		return nil, nil
	}
	index := make(map[uint64]int32, len(callees))
	lo, hi := callees[0], callees[0]
	for i, a := range callees {
		index[a] = int32(i)
		lo, hi = min(lo, a), max(hi, a)
	}
	for _, seg := range segs {
		seg.calls(func(addr, target uint64) {
			if target-lo > hi-lo {
				return
			}
			if k, ok := index[target]; ok {
				at, key = append(at, addr), append(key, k)
			}
		})
	}
	return at, key
}

// calls visits all that looks like a direct call or a jump of the same length, ascending.
func (s *Segment) calls(visit func(addr, target uint64)) {
	for i := 0; i+insn.CallLen <= len(s.Bytes); i++ {
		if s.Bytes[i]&0xFE == 0xE8 { // CALL and JMP rel32
			addr := s.Addr + uint64(i)
			visit(addr, insn.CallTarget(addr, s.Bytes[i:]))
		}
	}
}

// callAt makes sure that an instruction begins at addr, and judges it.
func callAt(w *Walker, addr uint64) (Site, bool) {
	s := Site{Addr: addr, Entry: w.Entry, Func: w.Func}
	if w.Err != nil {
		s.Why = w.Err.Error()
		return s, true
	}
	if w.Addr != addr {
		return Site{}, false // in the middle of another instruction
	}
	code := w.Code(addr)[:insn.CallLen]
	s.Form, _ = insn.RecognizeCall(code)
	s.Code.N = insn.CallLen
	copy(s.Code.B[:], code)
	switch {
	case !w.Inside(addr + insn.CallLen - 1):
		s.Why = "the function ends inside of the instruction"
	case w.Forbidden() != "":
		s.Why = w.Forbidden()
	}
	return s, true
}

// judgeForwarded decides what a call of a forwarder may be led to. A jump stands in a
// function without a frame, on the stack of whoever called that.
func (s *Site) judgeForwarded(img Image) {
	s.Careful = s.Form == insn.JumpRel || !stackChecked(bytesAt(img.Text(), s.Entry))
}

// stackChecked reports whether a function begins with a check of its stack's bound
// (cmd/internal/obj/x86, stacksplit): a compare with 16(R14), g.stackguard0, behind at most
// the computation of where a large frame will end. One without it, and what it calls,
// have to do with the few hundred bytes that the linker has counted along such calls. It
// does not see through a forwarder.
func stackChecked(code []byte) bool {
	const insnsMax = 5
	for range insnsMax {
		in, err := insn.Decode(code)
		if err != nil || in.Flow() == insn.Call || in.Flow() == insn.Stop {
			return false
		}
		// CMPQ SP or R12, 16(R14)
		if in.Enc == insn.Legacy && in.Map == 0 && in.Op == 0x3B && in.Rex&0xFB == 0x49 && in.ModRM == 0x66 && code[in.DispOff] == 0x10 {
			return true
		}
		code = code[in.Len:]
	}
	return false
}

// bytesAt returns the text from addr to the end of its segment, nil outside of text.
func bytesAt(segs []Segment, addr uint64) []byte {
	for _, s := range segs {
		if addr >= s.Addr && addr-s.Addr < uint64(len(s.Bytes)) {
			return s.Bytes[addr-s.Addr:]
		}
	}
	return nil
}

// errShape says where a function is no forwarder.
func errShape(at uint64, code []byte, why string) error {
	n := 1
	if in, err := insn.Decode(code); err == nil {
		n = int(in.Len)
	}
	return fmt.Errorf("%w: at %#x (% x): %s", ErrForwarder, at, code[:min(n, len(code))], why)
}
