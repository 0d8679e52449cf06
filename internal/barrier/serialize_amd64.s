//go:build linux

#include "textflag.h"

// func SerializeSelf()
//
// Pushes the frame that IRETQ pops (SS, RSP, RFLAGS, CS, RIP) so that it
// returns to the caller with RSP as RET would leave it. 0(SP) stays the return
// address until the end, so a traceback from a signal is right all the way.
TEXT ·SerializeSelf(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	0(SP), DX
	LEAQ	8(SP), AX
	XORL	CX, CX
	MOVW	SS, CX
	PUSHQ	CX
	PUSHQ	AX
	PUSHFQ
	XORL	CX, CX
	MOVW	CS, CX
	PUSHQ	CX
	PUSHQ	DX
	IRETQ
