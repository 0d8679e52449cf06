package site

import insn "github.com/quietpatch/quietpatch/internal/insn/amd64"

// Code is text as it is in memory, by function.
type Code interface {
	// Func and Assembly are those of [Image].
	Func(pc uint64) (entry uint64, name string, ok bool)
	Assembly(entry uint64) bool
	// FuncCode returns the code of the Go function that starts at entry, nil for
	// anything else.
	FuncCode(entry uint64) []byte
	// Wrapper reports whether the function is one that the runtime does not count
	// among the frames that recover looks at, or that this is not known.
	Wrapper(entry uint64) bool
}

// recoverName is what the built-in function recover is compiled to.
const recoverName = "runtime.gorecover"

// Plain reports whether the function at entry does the same wherever it is called from,
// directly or behind a forwarder. In two places one may see a difference:
//
// In a wrapper, which compilers make for deferred calls, method values and promoted
// methods: there a function that is called directly may recover a panic. So it must not
// call recover, nor jump to another function, which might.
//
// In a function that does not check its stack: there the forwarder is who does. So it
// must check it, too, or use none.
//
// A wrapper that only calls plain functions, by name, is plain (a method value). What
// is not understood is not plain.
func Plain(c Code, entry uint64) bool { return plainTo(c, entry, wrappersMax) }

// wrappersMax is how many wrappers may stand around one another.
const wrappersMax = 4

func plainTo(c Code, entry uint64, depth int) bool {
	code := c.FuncCode(entry)
	if code == nil || depth == 0 || c.Assembly(entry) {
		return false
	}
	wrapper, checked := c.Wrapper(entry), stackChecked(code)
	end := entry + uint64(len(code))
	for at := entry; len(code) > 0; {
		in, err := insn.Decode(code)
		if err != nil || !checked && usesStack(in) {
			return false
		}
		target := insn.BranchTarget(at, in, code)
		switch flow := in.Flow(); {
		case flow == insn.Jump && (target < entry || target >= end):
			return false
		case flow == insn.Call && !plainCall(c, target, wrapper, depth):
			return false
		}
		at, code = at+uint64(in.Len), code[in.Len:]
	}
	return true
}

// plainCall reports whether a function, or a wrapper, may call what is at target (0: not
// known) and be plain.
func plainCall(c Code, target uint64, wrapper bool, depth int) bool {
	if target == 0 {
		return !wrapper
	}
	start, name, ok := c.Func(target)
	if !ok || name == recoverName {
		return false
	}
	if !wrapper || name == moreStackName || name == moreStackClosure || name == panicWrapName {
		return true
	}
	return start == target && plainTo(c, target, depth-1)
}

// What a wrapper calls of the runtime: more stack, for a closure, and the panic over a
// nil receiver.
const (
	moreStackClosure = "runtime.morestack"
	panicWrapName    = "runtime.panicwrap"
)

// usesStack reports whether the instruction moves SP, or may: pushes, calls, and whatever
// has SP as a register operand that is written.
func usesStack(in insn.Inst) bool {
	if in.Flow() == insn.Call {
		return true
	}
	if in.Enc != insn.Legacy || in.Map != 0 {
		return false
	}
	const sp = 4
	rm := in.ModRM&7 | in.Rex&1<<3
	switch {
	case in.Op >= 0x50 && in.Op <= 0x57, in.Op == 0x68, in.Op == 0x6A, in.Op == 0x9C: // PUSH, PUSHF
		return true
	case in.Op == 0xFF && in.ModRM>>3&7 == 6: // PUSH
		return true
	case in.Op == 0x8D || in.Op == 0x8B: // LEA, MOV to a register
		return in.Reg() == sp
	case in.HasModRM && in.ModRM>>6 == 3 && (in.Op <= 0x3F || in.Op >= 0x80 && in.Op <= 0x89 || in.Op == 0xC7):
		return rm == sp && in.Op != 0x84 && in.Op != 0x85 // arithmetic and moves with SP; not TEST
	}
	return false
}
