package amd64

import "strings"

// thunkPrefix is the name of what a program that is built with -spectre=ret calls in
// place of an indirect call, but for the register that holds the callee's address
// (cmd/internal/obj/x86, retpoline; runtime, asm_amd64.s).
const thunkPrefix = "runtime.retpoline"

var thunkRegs = [...]string{
	"AX", "CX", "DX", "BX", "", "BP", "SI", "DI",
	"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
}

// Thunk returns the hardware number of the register through which the function of
// that name jumps, if it is a retpoline.
func Thunk(name string) (reg uint8, ok bool) {
	suffix, ok := strings.CutPrefix(name, thunkPrefix)
	suffix = strings.TrimSuffix(suffix, ".abi0")
	if !ok || suffix == "" {
		return 0, false
	}
	for i, r := range thunkRegs {
		if r == suffix {
			return uint8(i), true
		}
	}
	return 0, false
}
