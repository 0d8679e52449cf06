package site

import insn "github.com/quietpatch/quietpatch/internal/insn/amd64"

// Code is text as it is in memory, by function.
type Code interface {
	// Func is that of [Image].
	Func(pc uint64) (entry uint64, name string, ok bool)
	// FuncCode returns the code of the Go function that starts at entry, nil for
	// anything else.
	FuncCode(entry uint64) []byte
	// Generated reports whether the compiler made the function without source: a
	// wrapper of another.
	Generated(entry uint64) bool
}

// recoverName is what the built-in function recover is compiled to.
const recoverName = "runtime.gorecover"

// wrappersMax is how many wrappers may stand around one another.
const wrappersMax = 4

// Recovers reports whether the function at entry may stop a panic of the frame that
// defers a call of it: it calls recover itself, or is the wrapper of a function that
// does. recover looks at who called its caller, wrappers left out, so for such a
// function a direct call is not the same as one through a forwarder. What is not
// understood may recover.
func Recovers(c Code, entry uint64) bool { return recovers(c, entry, wrappersMax) }

func recovers(c Code, entry uint64, depth int) bool {
	code := c.FuncCode(entry)
	if code == nil || depth == 0 {
		return true
	}
	generated := c.Generated(entry)
	for at := entry; len(code) > 0; {
		in, err := insn.Decode(code)
		if err != nil {
			return true
		}
		if flow := in.Flow(); flow == insn.Call || flow == insn.Jump {
			target := insn.BranchTarget(at, in, code)
			start, name, ok := c.Func(target)
			switch {
			case name == recoverName:
				return true
			case !generated || start == entry || ok && forbidden(name) != "":
			case target == 0 || !ok || start != target || recovers(c, target, depth-1):
				return true
			}
		}
		at, code = at+uint64(in.Len), code[in.Len:]
	}
	return false
}
