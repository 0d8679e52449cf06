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

// func CPU() int
//
// The kernel keeps the number of the CPU in the limit of a segment, its node in the bits
// above the low twelve (arch/x86/include/asm/segment.h, VDSO_CPUNODE_BITS).
TEXT ·CPU(SB), NOSPLIT, $0-8
	MOVL	$0x7B, AX	// __CPUNODE_SEG
	LSLL	AX, AX
	ANDL	$0xFFF, AX
	MOVQ	AX, ret+0(FP)
	RET
