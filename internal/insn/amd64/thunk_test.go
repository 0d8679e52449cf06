package amd64

import (
	"strings"
	"testing"
)

func TestThunk(t *testing.T) {
	names := strings.Fields("AX CX DX BX - BP SI DI R8 R9 R10 R11 R12 R13 R14 R15")
	for i, n := range names {
		for _, suffix := range []string{"", ".abi0"} {
			name := "runtime.retpoline" + n + suffix
			if reg, ok := Thunk(name); ok != (n != "-") || ok && int(reg) != i {
				t.Errorf("Thunk(%q) = %d, %v", name, reg, ok)
			}
		}
	}
	for _, name := range []string{
		"", "runtime.retpoline", "runtime.retpolineSP", "runtime.retpolineSP.abi0", "runtime.retpoline.abi0",
		"runtime.retpolineax", "runtime.retpolineAX2", "runtime.retpolineR16", "retpolineAX", "main.retpolineAX",
		"runtime.retpolineAX.abi0.abi0", "xruntime.retpolineAX",
	} {
		if reg, ok := Thunk(name); ok || reg != 0 {
			t.Errorf("Thunk(%q) = %d, %v", name, reg, ok)
		}
	}
}
