//go:build linux

#include "go_asm.h"
#include "textflag.h"

#define SI_QUEUE	-1
#define SYS_gettid	186

// func urgHandlerAddr() uintptr
TEXT ·urgHandlerAddr(SB), NOSPLIT, $0-8
	LEAQ	·urgHandler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func urgHandler()
//
// Called by the kernel: DI = signal, SI = *siginfo, DX = *ucontext, on the signal stack,
// all signals blocked. Every register may be clobbered, the kernel reloads them from the
// ucontext; but DI, SI, DX and SP must reach the chained handler as they came.
//
// If somebody asks, and the interrupted thread is surely in no stub, the thread's slot gets
// the number of the question. Any SIGURG will do: the kernel keeps one of several.
//
//	R8  the question	R9  its number
TEXT ·urgHandler(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ	·asked(SB), R8
	MOVQ	question_number(R8), R9	// before all the rest
	TESTQ	R9, R9
	JEQ	handOn

	// Does it stand in a stub?
	MOVQ	const_ripOffset(DX), AX
	SUBQ	question_stubs(R8), AX
	CMPQ	AX, question_size(R8)
	JCS	handOn

	// Does it stand on the signal stack, so in another handler? That one may have
	// interrupted a stub. (The kernel's on_sig_stack: the stack's end counts, its start
	// does not. ss_flags does not tell, since Linux 4.7 it is what sigaltstack(2) was given.)
	MOVQ	const_rspOffset(DX), AX
	SUBQ	const_stackOffset(DX), AX
	DECQ	AX
	CMPQ	AX, const_stackSizeOffset(DX)
	JCS	handOn

	// Does it block all that some handler blocks? It may be in that one, on a stack
	// that it has made its own.
	MOVQ	const_maskOffset(DX), BX
	NOTQ	BX	// not blocked
	MOVQ	question_nblocks(R8), CX
block:
	DECQ	CX
	JLT	who
	TESTQ	BX, question_blocks(R8)(CX*8)
	JNE	block
	JMP	handOn

	// Which slot?
who:
	MOVL	$SYS_gettid, AX
	SYSCALL	// changes AX, CX and R11
	MOVQ	question_n(R8), CX
	LEAQ	question_slots(R8), R10
search:
	DECQ	CX
	JLT	handOn
	CMPQ	slot_tid(R10), AX
	JEQ	answer
	ADDQ	$slot__size, R10
	JMP	search
answer:
	MOVQ	R9, slot_answered(R10)

handOn:
	CMPQ	·alone(SB), $0
	JEQ	chained
	CMPL	const_codeOffset(SI), $SI_QUEUE
	JNE	chained
	CMPQ	const_valueOffset(SI), R8
	JNE	chained
	RET
chained:
	MOVQ	·chain(SB), AX
	JMP	AX
