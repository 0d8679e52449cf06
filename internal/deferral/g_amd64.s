#include "textflag.h"

// func getg() uintptr
//
// R14 holds g in Go code (cmd/compile/abi-internal.md), and the wrapper through which Go
// calls this leaves it there.
TEXT ·getg(SB), NOSPLIT, $0-8
	MOVQ	R14, ret+0(FP)
	RET
