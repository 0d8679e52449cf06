//go:build linux

#include "textflag.h"

// func target() uint32
TEXT ·target(SB), NOSPLIT, $0-4
	CALL	site<>(SB)
	MOVL	AX, ret+0(FP)
	RET

// The poked instruction: B8 imm32.
TEXT site<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$0x11, AX
	RET

// func targetAddr() uintptr
TEXT ·targetAddr(SB), NOSPLIT, $0-8
	LEAQ	site<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
