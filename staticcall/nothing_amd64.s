#include "textflag.h"

// func clear()
//
// Every function that does nothing and has all of its results in registers: it clears
// all that Go's ABIInternal returns results in (cmd/compile/abi-internal.md: nine
// general registers, X0 to X14), and returns. Whatever it was given it ignores. R14 (g)
// and X15 (zero) stay as they are.
TEXT ·clear(SB), NOSPLIT|NOFRAME, $0-0
	XORL	AX, AX
	XORL	BX, BX
	XORL	CX, CX
	XORL	DI, DI
	XORL	SI, SI
	XORL	R8, R8
	XORL	R9, R9
	XORL	R10, R10
	XORL	R11, R11
	XORPS	X0, X0
	XORPS	X1, X1
	XORPS	X2, X2
	XORPS	X3, X3
	XORPS	X4, X4
	XORPS	X5, X5
	XORPS	X6, X6
	XORPS	X7, X7
	XORPS	X8, X8
	XORPS	X9, X9
	XORPS	X10, X10
	XORPS	X11, X11
	XORPS	X12, X12
	XORPS	X13, X13
	XORPS	X14, X14
	RET

// The closure of clear, as the compiler lays them down for functions.
DATA	clearFunc<>+0(SB)/8, $·clear(SB)
GLOBL	clearFunc<>(SB), RODATA, $8

// func clearClosure() unsafe.Pointer
TEXT ·clearClosure(SB), NOSPLIT, $0-8
	LEAQ	clearFunc<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
